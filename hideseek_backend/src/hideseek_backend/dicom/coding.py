"""Coded concepts of the objects, and the declaration of the private scheme."""

from __future__ import annotations

from typing import Any

from hideseek_backend.dicom.needs import need
from hideseek_backend.wire.codes import region_code

PRIVATE_SCHEME = "99HIDESEEK"
ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
METASTASIS = ("14799000", "SCT", "Neoplasm, Secondary")
LESION = ("52988006", "SCT", "Lesion")
PHENOTYPE = ("PHENOTYPE", PRIVATE_SCHEME, "Lesion phenotype")
PHENOTYPES = {
    "lytic": ("LYTIC", PRIVATE_SCHEME, "Osteolytic"),
    "blastic": ("BLASTIC", PRIVATE_SCHEME, "Osteoblastic"),
}
DELTA = ("DELTA", PRIVATE_SCHEME, "Hide-and-Seek attribution")
P_WITHOUT = ("PWITHOUT", PRIVATE_SCHEME, "Probability of cancer with this lesion hidden")
REVIEW = ("REVIEW", PRIVATE_SCHEME, "Review state")
STATES = {
    "accepted": ("ACCEPTED", PRIVATE_SCHEME, "Accepted by a reader"),
    "not reviewed": ("UNREVIEWED", PRIVATE_SCHEME, "Candidate, not reviewed"),
    "rejected": ("REJECTED", PRIVATE_SCHEME, "Rejected by a reader"),
}
VOLUME = ("118565006", "SCT", "Volume")
ATTENUATION = ("112031", "DCM", "Attenuation Coefficient")
MEAN = ("373098007", "SCT", "Mean")
PROBABILITY = ("111047", "DCM", "Probability of cancer")
CT = ("77477000", "SCT", "Computed tomography")


def concept(code: tuple[str, str, str]) -> Any:
    """Return highdicom's concept of (value, scheme, meaning)."""
    return need("highdicom").sr.CodedConcept(*code)


def finding(state: str) -> tuple[str, str, str]:
    """A reader makes a metastasis of it; until then it is a lesion."""
    return METASTASIS if state == "accepted" else LESION


def site(level: str) -> Any:
    """Return the concept of a vertebra."""
    scheme, value, meaning = region_code(level)
    return concept((value, scheme, meaning))


def declare_private_scheme(dataset: Any) -> None:
    """Name who answers for 99HIDESEEK (Coding Scheme Identification Sequence, PS3.3 C.12.1.1)."""
    pydicom = need("pydicom")
    item = pydicom.Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "HideSeek private codes: phenotype, attribution and review state"
    item.CodingSchemeResponsibleOrganization = "HideSeek"
    dataset.CodingSchemeIdentificationSequence = [item]

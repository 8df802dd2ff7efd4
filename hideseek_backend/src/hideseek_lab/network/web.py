"""STOW-RS, QIDO-RS and WADO-RS with one node."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hideseek_backend.dicom.needs import lenient, need
from hideseek_backend.errors import InputError
from hideseek_lab.network.nodes import Node, headers

_STUDY_UID = "0020000D"


def store(node: Node, files: Sequence[Path]) -> int:
    """Send files by STOW-RS; returns how many were taken. Raises InputError where one was not."""
    pydicom = need("pydicom")
    with lenient():
        datasets = [pydicom.dcmread(path) for path in files]
    with _client(node) as client:
        answer = client.store_instances(datasets)
    failed = len(answer.get("FailedSOPSequence") or [])
    if failed:
        raise InputError(
            f"The node {node} refused {failed} of {len(datasets)} objects.",
            "Ask its administrator; the others were kept.",
        )
    return len(datasets)


def find(node: Node, accession: str) -> list[str]:
    """Return the uids of the studies of an accession number (QIDO-RS)."""
    with _client(node) as client:
        found = client.search_for_studies(search_filters={"AccessionNumber": accession})
    return [str(one[_STUDY_UID]["Value"][0]) for one in found]


def get(node: Node, study_uid: str, saved: Callable[[Any], None]) -> None:
    """Fetch a study (WADO-RS) in the syntax it has; `saved` is called with each dataset."""
    with _client(node) as client:
        for dataset in client.iter_study(study_uid):
            saved(dataset)


@contextmanager
def _client(node: Node) -> Iterator[Any]:
    api, requests = need("dicomweb_client.api"), need("requests")
    session = requests.Session()
    # What the environment says of certificates would go before the node's own ca, and passwords of
    # a .netrc before ours.
    session.trust_env = False
    session.proxies.update(requests.utils.get_environ_proxies(node.url))
    session.verify = str(node.ca) if node.ca else os.environ.get("REQUESTS_CA_BUNDLE") or True
    if node.cert:
        session.cert = (str(node.cert), str(node.key)) if node.key else str(node.cert)
    client = api.DICOMwebClient(node.url, session=session, headers=headers(node))
    client.set_http_retry_params(max_attempts=2)
    try:
        with lenient():
            yield client
    except requests.RequestException as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"it answered {status}" if status else type(error).__name__
        raise InputError(
            f"No success with {node}: {reason}.",
            "Check the url, the credentials in the environment and the certificate.",
        ) from None  # the error's own words hold the url of the study
    finally:
        session.close()

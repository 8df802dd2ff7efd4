"""All files of a case: present, consistent, reproducible, and without outside resources."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from sample_case import AFFINE, sample_case

from hideseek_backend.report.case_files import write_case, write_screening
from hideseek_backend.report.html import case_page
from hideseek_backend.report.summary import case_warnings, totals
from hideseek_backend.wire.words import FRACTURED, UNEXPLAINED

FILES = {
    "lesions.nii.gz",
    "lesions.seg.nrrd",
    "candidates.csv",
    "vertebrae.csv",
    "case.json.gz",
    "report.json",
    "report.html",
}
VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Collects tags and checks that each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def test_every_file_is_written(tmp_path: Path) -> None:
    write_case(sample_case(), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == FILES


def test_lesions_are_on_the_grid_of_the_ct(tmp_path: Path) -> None:
    case = sample_case()
    write_case(case, tmp_path)
    image = nib.load(tmp_path / "lesions.nii.gz")
    assert image.get_data_dtype() == np.uint8
    assert np.allclose(image.affine, AFFINE, atol=1e-5)
    assert np.array_equal(np.asarray(image.dataobj), case.lesions.data)


def test_json_holds_everything_and_agrees_with_the_tables(tmp_path: Path) -> None:
    case = sample_case()
    write_case(case, tmp_path)
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert record["options"]["min_area"] == 7
    assert record["provenance"]["model"] == {"name": "tiny", "hash": "ab" * 32}
    assert record["provenance"]["timings"] == {"total": 1.25}
    assert record["warnings"][0] == "The slices are 3.5 mm thick."
    assert "Research use only" in record["disclaimer"]
    with (tmp_path / "candidates.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    flat = [c for v in record["vertebrae"] for c in v["candidates"]]
    assert [(r["vertebra"], float(r["delta"])) for r in rows] == [
        (c["vertebra"], c["delta"]) for c in flat
    ]
    assert np.allclose(record["grid"]["affine_ijk_to_ras"], AFFINE)


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    case = sample_case()
    odd = replace(case.vertebrae[0], p_malignant=float("nan"))
    write_case(replace(case, vertebrae=(odd, *case.vertebrae[1:])), tmp_path)
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert record["vertebrae"][0]["p_malignant"] is None
    assert record["totals"]["flagged"] == 3
    assert not re.search(r"\bnan\b", (tmp_path / "report.html").read_text(encoding="utf-8").lower())


def test_the_same_case_gives_the_same_bytes_but_for_times(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, total in ((first, 1.25), (second, 99.5)):
        folder.mkdir()
        case = sample_case()
        case.provenance["timings"] = {"total": total}
        write_case(case, folder)
    different = [n for n in FILES if (first / n).read_bytes() != (second / n).read_bytes()]
    assert different == ["report.json"]


@pytest.mark.parametrize("slices", ["central", "all"])
def test_the_page_stands_alone(slices: str) -> None:
    text = case_page(sample_case(slices=slices))
    page = Page(text)
    for _tag, attrs in page.tags:
        for name in ("src", "href", "data"):
            value = attrs.get(name) or ""
            assert value.startswith(("data:image/png;base64,", "#")) or not value, value[:80]
    assert not re.search(r"https?://|@import|url\(", text)
    assert "script" not in {tag for tag, _ in page.tags}


def test_the_page_says_what_it_must() -> None:
    page = Page(case_page(sample_case(slices="all")))
    assert "Research use only." in page.text and "not cleared for diagnosis" in page.text
    assert "W 1200 / L 350 HU" in page.text
    assert "cut by the field of view" in page.text and "below p = 0.5" in page.text
    for mark in "APSI":
        assert re.search(rf">{mark}</text>", case_page(sample_case()))
    assert "ab" * 32 in page.text  # the model's hash
    assert "All 9 sagittal slices" in page.text
    assert "1.25" not in page.text  # times are in report.json alone


def test_kept_and_dropped_lytic_and_blastic_are_told_apart() -> None:
    page = Page(case_page(sample_case()))
    shapes = [attrs["class"] for tag, attrs in page.tags if tag == "path" and "class" in attrs]
    in_panels = [c for c in shapes if c in ("lytic kept", "blastic kept", "lytic dropped")]
    # Three candidates on each of two vertebrae, and once in each vertebra's key.
    assert sorted(in_panels) == sorted(["lytic kept", "blastic kept", "lytic dropped"] * 4)
    assert page.text.count("Δ 0.91") == 2


def test_names_are_escaped() -> None:
    text = case_page(sample_case(), title="<script>alert(1)</script>")
    assert "<script>" not in text
    assert "patient &lt;7&gt;.nii.gz" in case_page(sample_case())


def test_decisions_are_shown() -> None:
    case = sample_case()
    decided = {"T12:1": "reject", "L1:3": "accept"}
    vertebrae = tuple(
        replace(
            v,
            candidates=tuple(replace(c, decision=decided.get(c.key, "")) for c in v.candidates),
        )
        for v in case.vertebrae
    )
    page = Page(case_page(replace(case, vertebrae=vertebrae)))
    assert "reviewed" in page.text
    assert page.text.count("rejected") == 1 and page.text.count("accepted") == 1
    assert "L1: lytic lesion; body height not measured." in page.text
    assert "LWK 1: lytische Läsion" in page.text


def test_a_case_without_findings(tmp_path: Path) -> None:
    case = sample_case()
    quiet = replace(
        case,
        vertebrae=(case.vertebrae[0],),
        lesions=case.lesions.with_data(np.zeros(case.lesions.shape, np.uint8)),
    )
    write_case(quiet, tmp_path)
    assert (tmp_path / "candidates.csv").read_text(encoding="utf-8").count("\n") == 1
    Page((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_screening_writes_probabilities_only(tmp_path: Path) -> None:
    write_screening(sample_case(), tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"vertebrae.csv", "report.json"}


def test_totals_and_warnings() -> None:
    case = sample_case()
    counted = totals(case.vertebrae, 0.5)
    assert (counted.vertebrae, counted.flagged, counted.analysed) == (4, 3, 2)
    assert (counted.candidates, counted.kept_lytic, counted.kept_blastic) == (6, 2, 2)
    assert case_warnings(case) == (
        "The slices are 3.5 mm thick.",
        "T12: The healthy edit leaves p = 0.04.",
        "L1: The healthy edit leaves p = 0.04.",
    )


def test_what_speaks_against_a_p_stands_beside_it() -> None:
    case = sample_case()
    t11, t12, l1, l2 = case.vertebrae
    broken = replace(
        t12,
        outside=FRACTURED,
        heights_mm=(15.0, 18.0, 22.0),
        height_ratio=0.62,
        candidates=tuple(replace(c, p_without=0.417) for c in t12.candidates),
    )
    text = case_page(replace(case, vertebrae=(t11, broken, replace(l1, reason=UNEXPLAINED), l2)))
    assert f'<span class="flag">{FRACTURED}</span>' in text
    assert "15.0 / 18.0 / 22.0 mm" in text and "62 % of what the neighbours" in text
    assert "p of 1 not to be trusted" in text
    assert "1 with nothing found that explains it" in text
    assert f"{t12.p_malignant:.2f}</span>" in text  # told, and not hidden
    assert text.count('<td class="n">0.42</td>') == len(t12.candidates)
    assert 'class="flag"' not in case_page(case)

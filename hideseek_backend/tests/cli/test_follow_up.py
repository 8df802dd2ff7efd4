"""`hideseek follow-up` and `hideseek text` on results of the command."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hideseek_backend.cli import main
from hideseek_backend.dicom.ct_series import write_ct_series
from hideseek_backend.volumes.reading import read_ct

from .conftest import words

ALL = ["--slices", "all", "--tau", "-10", "--polarity", "both", "--force", "--set", "min_area=40"]


@pytest.fixture(scope="module", name="result")
def result_folder(case: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("follow") / "result"
    assert main(words(case, out, *ALL, "--levels", "L1-L2")) == 0
    return out


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_scan_against_itself_is_stable(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "change"
    line = ["follow-up", str(result), str(result), "--out", str(out)]
    assert main([*line, "--dates", "2026-04-02", "2026-10-01"]) == 0
    said = capsys.readouterr()
    assert "Research use only" in said.out and "limits of agreement" in said.err.lower()
    changes = table(out / "changes.csv")
    rows = table(result / "candidates.csv")
    kept = [c for c in rows if c["kept"] == "true" and float(c["volume_mm3"]) > 0]
    assert len(changes) == len(kept) > 0
    assert {c["fate"] for c in changes} == {"stable"}
    assert all(c["before"] == c["after"] and c["change_percent"] == "0.0" for c in changes)
    assert len({c["tracking_uid"] for c in changes}) == len(changes)
    page = (out / "follow-up.html").read_text(encoding="utf-8")
    assert "2026-04-02 → 2026-10-01" in page and page.count("data:image/png") >= 2 * len(changes)
    assert "http" not in page
    record = json.loads((out / "follow-up.json").read_text(encoding="utf-8"))
    assert record["cases"]["earlier"] == record["cases"]["current"]
    assert record["follow_up"]["pairs"][0]["gap_mm"] < 0.05


def test_text_of_what_was_accepted(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["text", str(result)]) == 0
    assert "nothing to report" in capsys.readouterr().out
    first = table(result / "candidates.csv")[0]
    verdicts = tmp_path / "decisions.json"
    key = f"{first['vertebra']}:{first['candidate']}"
    verdicts.write_text(json.dumps({key: "accept"}), encoding="utf-8")
    assert main(["text", str(result), "--decisions", str(verdicts), "--language", "de"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(first["vertebra"].replace("L", "LWK ")) and "des Wirbelkörpers" in said
    assert main(["text", "--show-template"]) == 0
    assert "no longer found" in capsys.readouterr().out


def test_what_cannot_be_compared(
    case: Path, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    central = tmp_path / "central"
    assert main(words(case, central, "--levels", "L1", "--tau", "-10")) == 0
    assert main(["follow-up", str(central), str(result), "--out", str(tmp_path / "c")]) == 0
    assert "only the central slice" in capsys.readouterr().err
    assert {c["fate"] for c in table(tmp_path / "c" / "changes.csv")} == {"not comparable"}
    page = (tmp_path / "c" / "follow-up.html").read_text(encoding="utf-8")
    assert "cannot be compared" in page


def test_kernel_and_contrast_go_from_dicom_to_the_page(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pydicom = pytest.importorskip("pydicom", reason="needs the extra dicom")
    ct = read_ct(case / "ct.nii.gz")[0]
    for name, kernel, agent in (("april", "B60s", None), ("october", "B30f", "Ultravist 370")):
        study = tmp_path / name / "study"
        write_ct_series(ct, study, patient="Doe^Jane", accession="A1")
        for file in study.iterdir():
            dataset = pydicom.dcmread(file)
            dataset.ConvolutionKernel, dataset.KVP = kernel, 120
            if agent:
                dataset.ContrastBolusAgent = agent
            dataset.save_as(file)
        line = words(case, tmp_path / name / "result", *ALL, "--levels", "L1", "--series", "1")
        line[1] = str(study)
        assert main(line) == 0
    results = [str(tmp_path / name / "result") for name in ("april", "october")]
    assert main(["follow-up", *results, "--out", str(tmp_path / "change")]) == 0
    said = capsys.readouterr().err
    assert "Other kernel: B60s before, B30f now" in said
    assert "Contrast medium was given only now" in said
    page = (tmp_path / "change" / "follow-up.html").read_text(encoding="utf-8")
    assert "kernel B30f, contrast medium" in page and "no contrast medium" in page
    record = json.loads((tmp_path / "change" / "follow-up.json").read_text(encoding="utf-8"))
    assert record["follow_up"]["scan"]["kernel"] == "B30f"
    assert "Doe^Jane" not in page and "Ultravist" not in page
    report = (tmp_path / "april" / "result" / "report.html").read_text(encoding="utf-8")
    assert "kernel B60s" in report and "Doe^Jane" not in report


def test_bad_input(result: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    out = str(tmp_path / "out")
    assert "case.json.gz" in refused(["follow-up", str(tmp_path), str(result), "--out", out])
    assert "--least-overlap" in refused(
        ["follow-up", str(result), str(result), "--out", out, "--least-overlap", "7"]
    )
    assert "follow-up.json" in refused(["text", str(result), "--follow-up", str(result)])
    assert "template" in refused(["text", str(result), "--template", str(tmp_path / "none.txt")])

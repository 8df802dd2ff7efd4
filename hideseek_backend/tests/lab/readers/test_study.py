"""The reader study: textbook values, simulated readers recovered, blinded plans, training rows."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hideseek_backend.cli import main
from hideseek_backend.errors import InputError
from hideseek_backend.wire import worklist
from hideseek_backend.wire.errors import WireError
from hideseek_backend.wire.worklist import ARMS, Reading
from hideseek_lab.manifest import read_manifest
from hideseek_lab.readers.plan import make_plan
from hideseek_lab.readers.simulate import simulated_readers
from hideseek_lab.readers.study import cohen_kappa, read_readings, study_figures
from hideseek_lab.scoring.agreement import icc_2_1

TRUTH = {
    (f"case{c:02d}", f"T{n}"): "lytic" if (5 * c + 3 * n) % 10 < 3 else "healthy"
    for c in range(40) for n in range(5, 13)
}  # fmt: skip


def test_kappa_of_a_textbook_table() -> None:
    # Cohen's own layout: 20 both yes, 5 and 10 split, 15 both no: κ = (0.7 − 0.5) / 0.5.
    a = ["lytic"] * 25 + ["healthy"] * 25
    b = ["lytic"] * 20 + ["healthy"] * 5 + ["lytic"] * 10 + ["healthy"] * 15
    assert cohen_kappa(a, b) == pytest.approx(0.4)
    assert cohen_kappa(a, a) == pytest.approx(1.0)
    assert math.isnan(cohen_kappa(["healthy"] * 4, ["healthy"] * 4))


@pytest.mark.parametrize("kappa", [0.3, 0.6, 0.85])
def test_simulated_readers_are_recovered_within_their_interval(kappa: float) -> None:
    inside = 0
    for seed in range(20):
        readings = simulated_readers(TRUTH, {"with": kappa, "without": 0.5}, seed=seed)
        found = {(f.name, f.arm): f for f in study_figures(readings, TRUTH, seed)}
        f = found["Cohen's kappa between readers", "with"]
        inside += f.low <= kappa <= f.high
    assert inside >= 17  # of 20 intervals of 95 %


def test_icc_and_time_are_those_of_the_table() -> None:
    readings = simulated_readers(TRUTH, {"with": 0.6, "without": 0.6}, seed=3)
    found = {(f.name, f.arm): f for f in study_figures(readings, TRUTH)}
    rows: dict[tuple[str, str], list[float]] = {}
    for r in readings:
        if r.arm == "with":
            for level, volume in r.volumes:
                rows.setdefault((r.case, level), []).append(volume)
    icc = found["ICC(2,1) of lesion volume", "with"]
    assert icc.value == pytest.approx(icc_2_1(list(rows.values())))
    assert icc.low < icc.value < icc.high
    times = [r.seconds for r in readings if r.arm == "with"]
    assert found["seconds a case", "with"].value == pytest.approx(np.mean(times))
    assert found["seconds a case, with − without", ""].high < 0


def test_detection_f1_against_the_truth() -> None:
    labels = (("T5", "lytic"), ("T6", "healthy"), ("T7", "blastic"))
    truth = {("a", "T5"): "lytic", ("a", "T6"): "lytic", ("a", "T7"): "healthy"}
    readings = [Reading("A", "a", "with", 10.0, True, labels)]
    found = {f.name: f for f in study_figures(readings, truth)}
    assert found["detection F1 against the truth"].value == pytest.approx(0.5)
    assert "Cohen's kappa between readers" not in found  # one reader agrees with nobody


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10**6))
def test_a_plan_holds_every_case_once_with_and_once_without(count: int, seed: int) -> None:
    names = [f"c{n}" for n in range(count)]
    plan = make_plan(names, ["A", "B"], seed)
    assert plan == make_plan(names, ["A", "B"], seed) and plan["seed"] == seed
    for order in plan["readers"].values():
        assert sorted(order) == sorted((c, arm) for c in names for arm in ARMS)
        # The two readings of a case lie in different halves.
        assert {c for c, _ in order[:count]} == {c for c, _ in order[count:]} == set(names)


def folder_of_cases(root: Path) -> Path:
    for name in ("one", "two", "three"):
        (root / name).mkdir(parents=True)
        for file in ("ct.nii.gz", "vertebrae.nii.gz"):
            (root / name / file).write_bytes(b"")
    return root


def test_a_worklist_from_new_to_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folder_of_cases(tmp_path / "cases")
    assert main(["worklist", str(root), "--plan", "AB", "CD", "--seed", "7"]) == 0
    assert main(["worklist", str(root), "--plan", "AB"]) == 2  # a plan is not drawn again
    todo = worklist.tasks(root, "AB")
    assert len(todo) == 6 and {t.state for t in todo} == {"new"}
    first = worklist.next_task(todo)
    assert first is not None
    labels = (("T12", "lytic"), ("L1", "healthy"))
    reading = Reading("AB", first.case, first.arm, 61.26, True, labels,
                      (("T12", 900.0),), (("T12:1", "accept"),))  # fmt: skip
    worklist.store_reading(root, reading)
    again = worklist.tasks(root, "AB")
    assert again[0].state == "done" and worklist.next_task(again) == again[1]
    assert {t.state for t in worklist.tasks(root, "CD")} == {"new"}  # readers are blinded
    stored = worklist.stored_reading(root, "AB", first.case, first.arm)
    assert stored is not None and (stored.seed, stored.position) == (7, 0)
    assert stored.labels == reading.labels and stored.seconds == 61.3
    capsys.readouterr()
    assert main(["worklist", str(root), "--reader", "AB"]) == 0
    assert "AB: 1 of 6 done" in capsys.readouterr().out
    with pytest.raises(WireError, match="reader of the plan"):
        worklist.tasks(root, "XY")
    manifest = tmp_path / "manifest.csv"
    assert main(["readers", str(root), "--manifest", str(manifest)]) == 0
    rows = {case.name: case for case in read_manifest(manifest).cases}
    assert rows[first.case].labels == {"T12": "lytic", "L1": "healthy"}


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 61])
def test_readers_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(WireError, match="name"):
        worklist.store_reading(tmp_path, Reading(name, "one", "with"))


def test_damaged_readings_are_told(tmp_path: Path) -> None:
    path = tmp_path / "reads" / "A" / "one.with.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"reader": "A", "labels": {"T12": "sick"}}), encoding="utf-8")
    with pytest.raises(InputError, match="one.with.json"):
        read_readings(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match="finished readings"):
        read_readings(tmp_path)

"""One case after another in a real Chromium: label values, scenes, a worklist, memory. Phantoms."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from conftest import WORKER
from steps import lesion_voxels, open_fresh, open_path, select

try:
    from selenium.webdriver.support.ui import Select
except ImportError:  # the tests are skipped, saying so
    Select = None


def test_label_values_are_asked_for_their_scheme(analysed, server, phantom):
    analysed.click(".hs-save")
    analysed.says("3D Slicer opens it", 120)
    open_fresh(analysed, phantom)
    analysed.says("No segment")
    Select(analysed.all(".hs-scheme")[0]).select_by_value("verse")
    analysed.says("8 vertebrae, ")
    assert [v["level"] for v in analysed.state("vertebrae")][0] == "T9"
    open_path(analysed, server.out / "review.mrb")
    analysed.until(lambda: analysed.state("candidates"), 90, "the saved review")


def test_a_scene_goes_on_in_slicer_and_comes_back(analysed, server, tmp_path):
    """Saved here, opened and decided in Slicer's own code of another version, opened here."""
    if subprocess.run([WORKER, "-c", "import slicer_core"], capture_output=True).returncode:
        pytest.skip(
            "the backend's environment has no slicer-core: pip install -r Testing/requirements.txt"
        )
    kept = [key for key, row in analysed.candidates().items() if row["kept"]]
    select(analysed, kept[0])
    analysed.press("a")
    analysed.until(lambda: analysed.candidates()[kept[0]]["mark"] == "✓", 20, "accepted")
    analysed.click(".hs-save")
    analysed.says("3D Slicer opens it", 120)
    here = {k: (row["mark"], row["kept"]) for k, row in analysed.candidates().items()}
    analysed.click(".hs-export")
    analysed.says("Written to", 120)
    voxels = lesion_voxels(server.out / "export" / "lesions.nii.gz")
    back, told = tmp_path / "back.mrb", tmp_path / "told.json"
    command = [WORKER, str(Path(__file__).parent / "in_slicer_core.py")]
    command += [str(server.out / "review.mrb"), str(told), "--reject", kept[-1]]
    command += ["--threshold", "0.9", "--save", str(back)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(told.read_text(encoding="utf-8"))
    words = {"accept": "✓", "reject": "✗", "": ""}
    there = {
        key: (words[verdict], kept_there)
        for key, (verdict, _reason, kept_there, _source, _delta) in answer["opened"]["rows"].items()
    }
    assert there == {key: (mark.removesuffix("✎"), kept) for key, (mark, kept) in here.items()}
    assert answer["opened"]["voxels"] == voxels and sum(voxels) > 0
    assert answer["opened"]["edited"] == []

    open_path(analysed, back)
    analysed.until(lambda: analysed.candidates()[kept[-1]]["mark"] == "✗", 90, "Slicer's decision")
    assert abs(analysed.state("threshold") - 0.9) < 1e-6
    left = answer["left"]
    assert {k: row["kept"] for k, row in analysed.candidates().items()} == {
        key: row[2] for key, row in left["rows"].items()
    }
    assert len(kept) == 1 or analysed.candidates()[kept[0]]["mark"] == "✓"
    analysed.click(".hs-export")
    analysed.says("Written to", 120)
    assert lesion_voxels(server.out / "export" / "lesions.nii.gz") == left["voxels"] != voxels


def test_a_worklist_is_read_blinded_and_with_the_tool(analysed, server, phantom, tmp_path):
    """Two readings of a plan by clicks and a key: findings, time, and nothing of the tool."""
    if not (server.out / "review.mrb").exists():
        analysed.click(".hs-save")
        analysed.says("3D Slicer opens it", 120)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("ct.nii.gz", "vertebrae.nii.gz"):
            (tmp_path / name / file).symlink_to(phantom / file)
    order = [["two", "without"], ["one", "with"]]
    plan = {"format": "hideseek-worklist-1", "seed": 3, "readers": {"AB": order}}
    (tmp_path / "worklist.json").write_text(json.dumps(plan), encoding="utf-8")
    state = "window.trame.state.set(arguments[0], arguments[1])"
    for reader, says in (("XY", "reader of the plan"), ("AB", "two, without the tool")):
        analysed.driver.execute_script(state, "list_folder", str(tmp_path))
        analysed.driver.execute_script(state, "reads_as", reader)
        time.sleep(0.3)
        analysed.click(".hs-list" if reader == "XY" else ".hs-next-case")
        analysed.says(says, 60)
    # The scheme that was named for the case before is taken for this one.
    analysed.until(lambda: len(analysed.state("findings")) == 8, 60, "a finding a vertebra")
    assert (
        analysed.state("blind")
        and not analysed.all(".hs-screen")
        and not analysed.all(".hs-export")
    )
    level = analysed.state("findings")[2]["level"]
    analysed.all(".hs-finding")[2].click()
    analysed.until(lambda: analysed.state("findings")[2]["label"] == "lytic", 20, "a finding")
    analysed.click(".hs-done")
    analysed.until(lambda: not analysed.state("reading"), 90, "the reading kept")
    folder = tmp_path / "reads" / "AB"
    kept = json.loads((folder / "two.without.json").read_text(encoding="utf-8"))
    assert kept["done"] and kept["seconds"] > 0 and kept["seed"] == 3 and kept["decisions"] == {}
    assert {k for k, v in kept["labels"].items() if v != "healthy"} == {level}
    assert (folder / "two.without.mrb").stat().st_size > 100_000
    analysed.driver.execute_script("document.activeElement.blur()")
    analysed.press("N")
    analysed.says("one, with the tool", 90)
    assert not analysed.state("blind") and analysed.all(".hs-screen")
    assert [t["state"] for t in analysed.state("worklist")] == ["done", "new"]
    open_path(analysed, server.out / "review.mrb")  # what was begun is kept as it is
    analysed.until(lambda: analysed.state("candidates"), 90, "the saved review")
    begun = json.loads((folder / "one.with.json").read_text(encoding="utf-8"))
    assert not begun["done"] and begun["seconds"] > 0
    assert [t["state"] for t in analysed.state("worklist")] == ["done", "in review"]


def test_twenty_cases_keep_memory_flat(analysed, server, phantom):
    scene = server.out / "review.mrb"
    if not scene.exists():
        analysed.click(".hs-save")
        analysed.says("3D Slicer opens it", 120)
    open_fresh(analysed, phantom)
    sizes = []
    for _ in range(10):
        open_path(analysed, scene)
        analysed.until(lambda: analysed.candidates(), 90, "the saved review")
        analysed.says("8 vertebrae, ")
        sizes.append(server.megabytes())
        open_fresh(analysed, phantom)
        sizes.append(server.megabytes())
    print(f"memory: {sizes[4]:.0f} MB after 5 cases, {sizes[-1]:.0f} MB after 20")
    assert sizes[-1] - sizes[4] < 150

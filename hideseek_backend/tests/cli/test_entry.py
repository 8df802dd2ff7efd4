"""The command's front: help, versions, parsing errors and exit codes."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import hideseek_backend
from hideseek_backend.cli import entry
from hideseek_backend.cli.verbs import Verb, verbs
from hideseek_backend.errors import Cancelled, InputError

CASE = ["ct.nii.gz", "vertebrae.nii.gz", "--out", "out"]


def failing_parse(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run words that must be refused with exit code 2; return what was said."""
    with pytest.raises(SystemExit) as caught:
        entry.main(words)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("error: ") and "Traceback" not in said.err
    return said.err


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, time; from hideseek_backend.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'nibabel'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy)); print(time.process_time())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "heavy: []" in done.stdout
    # Processor time of the whole process: other programs on the machine do not count.
    assert float(done.stdout.splitlines()[-1]) < 0.3


def test_every_verb_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    named = [name for name, verb in verbs().items() if not verb.parts]
    named += [f"{name} {part}" for name, verb in verbs().items() for part, _ in verb.parts]
    for words in named:
        with pytest.raises(SystemExit) as caught:
            entry.main([*words.split(), "--help"])
        assert caught.value.code == 0
        said = capsys.readouterr().out
        assert f"hideseek {words}" in said.split("example:")[1]


def every_verb() -> Iterator[Verb]:
    for verb in verbs().values():
        yield verb
        yield from (part for _name, part in verb.parts)


@pytest.mark.parametrize("example", sorted({verb.example for verb in every_verb()}))
def test_every_example_is_understood_by_its_own_parser(example: str) -> None:
    words = shlex.split(example)
    words = words[words.index("hideseek") + 1 :]
    assert hasattr(entry.build_parser(words).parse_args(words), "command")


def test_commands_named_in_messages_exist() -> None:
    root = Path(hideseek_backend.__file__).parent.parent
    parts = {name: {part for part, _ in verb.parts} for name, verb in verbs().items()}
    named = 0
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else ""
            if not isinstance(text, str):
                continue
            for verb, rest in re.findall(
                r"(?<![\w./-])hideseek ([a-z][\w-]+) ?([a-z][\w-]*)?", text
            ):
                named += 1
                assert verb in parts, f"{path}: hideseek {verb}"
                assert not parts[verb] or rest in parts[verb], f"{path}: hideseek {verb} {rest}"
    assert named > 20


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        entry.main(["--version"])
    assert caught.value.code == 0 and capsys.readouterr().out.startswith("hideseek 0.")


@pytest.mark.parametrize("words", [[], ["models"], ["benchmark"]])
def test_without_a_verb_help_is_shown(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert entry.main(words) == 2
    assert "verbs:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["segmnt", *CASE], "segmnt"),
        (["segment", "ct.nii.gz", "--out", "x"], "VERTEBRAE"),
        (["segment", "ct.nii.gz", "v.nii.gz"], "--out"),
        (["segment", *CASE, "--tau", "high"], "a number from -10 to 10, got 'high'"),
        (["segment", *CASE, "--p-target", "0"], "a number from 1e-12 to 0.999999, got '0'"),
        (["segment", *CASE, "--p-target", "1"], "a number from 1e-12 to 0.999999, got '1'"),
        (["segment", *CASE, "--p-target", "nan"], "got 'nan'"),
        (["segment", *CASE, "--erode", "-1"], "a whole number from 0 to 10"),
        (["segment", *CASE, "--erode", "1.5"], "a whole number from 0 to 10"),
        (["segment", *CASE, "--min-area", "0"], "a whole number from 1 to 4096"),
        (["segment", *CASE, "--invert-steps", "0"], "from 1 to 1000"),
        (["segment", *CASE, "--levels", "T12,Q3"], "unknown level 'Q3'"),
        (["segment", *CASE, "--levels", "S1"], "unknown level 'S1'"),
        (["segment", *CASE, "--device", "gpu"], "cuda:N"),
        (["segment", *CASE, "--protocol", "quick"], "'reference'"),
        (["segment", *CASE, "--polarity", "sclerotic"], "'blastic'"),
        (["segment", *CASE, "--slices", "axial"], "'central'"),
        (["segment", *CASE, "--direction", "up"], "'pattern'"),
        (["segment", *CASE, "--set", "tau"], "expected name=value"),
        (["segment", *CASE, "--colour", "red"], "--colour"),
        (["phantom", "--out", "x", "--seed", "one"], "a whole number"),
        (["phantom", "--seed", "1"], "--out"),
    ],
)
def test_unusable_arguments(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    said = failing_parse(capsys, *words)
    assert expected in said
    assert "--help' shows the options" in said


def _run(error: BaseException, *, debug: bool = False) -> int:
    def command(_args: argparse.Namespace) -> int:
        raise error

    return entry._run(argparse.Namespace(command=command, debug=debug))


def test_user_errors_say_what_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(InputError("Expected a CT, got an MR.", "Give a CT.")) == 2
    assert capsys.readouterr().err == "error: Expected a CT, got an MR.\n       Give a CT.\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Cancelled()])
def test_stopping_is_no_error(capsys: pytest.CaptureFixture[str], error: BaseException) -> None:
    assert _run(error) == 130
    assert capsys.readouterr().err == "stopped; nothing half-written was left behind.\n"


def test_lack_of_memory_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(MemoryError()) == 2
    assert "Not enough memory" in capsys.readouterr().err
    gpu = type("OutOfMemoryError", (RuntimeError,), {})
    assert _run(gpu("CUDA out of memory")) == 2
    assert "--device cpu" in capsys.readouterr().err


def test_a_fault_of_ours_is_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(ZeroDivisionError("division by zero")) == 1
    said = capsys.readouterr().err
    assert "error: internal: ZeroDivisionError" in said and "Traceback" not in said
    assert _run(ZeroDivisionError("division by zero"), debug=True) == 1
    assert "Traceback" in capsys.readouterr().err

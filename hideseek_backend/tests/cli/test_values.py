"""Ranges are checked while the command line is parsed."""

from __future__ import annotations

import io
from argparse import ArgumentTypeError
from dataclasses import dataclass

import pytest

from hideseek_backend.cli import values
from hideseek_backend.cli.progress import ProgressBar, clock_text
from hideseek_backend.errors import DeviceError
from hideseek_backend.models.devices import choose_device
from hideseek_backend.wire.words import DEVICES


def test_levels_and_ranges() -> None:
    assert values.levels("T12, l1") == ("T12", "L1")
    assert values.levels("T10-T12,L1,T12") == ("T10", "T11", "T12", "L1")
    assert values.levels("T11-L2") == ("T11", "T12", "L1", "L2")
    assert values.levels("T12-T13, L5-L6") == ("T12", "T13", "L5", "L6")


@pytest.mark.parametrize("text", ["T14", "L0", "S1", "T12;L1", "L1-T12", "T12-T10", "", ",", "12"])
def test_unknown_levels_are_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="T12"):
        values.levels(text)


@pytest.mark.parametrize("text", ["0", "1", "nan", "inf", "-0.1", "half", ""])
def test_open_interval(text: str) -> None:
    parse = values.number(0.001, 0.999)
    assert parse("0.5") == 0.5
    with pytest.raises(ArgumentTypeError, match="from 0.001 to 0.999"):
        parse(text)


def test_an_end_may_be_left_out_or_be_open() -> None:
    share, above = values.number(0, 1, above=True), values.number(0, above=True)
    assert share("1") == 1 and above("1e9") == 1e9
    with pytest.raises(ArgumentTypeError, match="above 0 to 1, got '0'"):
        share("0")
    for text in ("0", "inf", "nan"):
        with pytest.raises(ArgumentTypeError, match="expected a number above 0, got"):
            above(text)


@pytest.mark.parametrize("text", ["11", "-1", "1.5", "one", "1e3", ""])
def test_whole_numbers(text: str) -> None:
    parse = values.whole(0, 10)
    assert parse("10") == 10
    with pytest.raises(ArgumentTypeError, match="whole number from 0 to 10"):
        parse(text)


def test_settings_are_json_or_words() -> None:
    assert values.setting("peak_fraction=0.3") == ("peak_fraction", 0.3)
    assert values.setting("fill_holes=false") == ("fill_holes", False)
    assert values.setting("delta=logit") == ("delta", "logit")
    with pytest.raises(ArgumentTypeError, match="name=value"):
        values.setting("delta")


@dataclass(frozen=True)
class Step:
    stage: str
    vertebra: str | None
    done: int
    total: int


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_bar_on_a_terminal_is_cleared_at_the_end() -> None:
    now = [0.0]
    stream = Terminal()
    with ProgressBar(stream, clock=lambda: now[0]) as bar:
        for done in range(0, 101, 10):
            bar(Step("edit", "T12", done, 100))
            now[0] += 1.0
    text = stream.getvalue()
    assert "T12  edit" in text and "about 0:05 left" in text
    assert text.endswith("\r\x1b[K")


def test_progress_elsewhere_is_a_line_now_and_then() -> None:
    now = [0.0]
    stream = io.StringIO()
    with ProgressBar(stream, clock=lambda: now[0]) as bar:
        for done in range(101):
            bar(Step("score", "L1", done, 100))
            now[0] += 0.5
    lines = stream.getvalue().splitlines()
    assert 4 <= len(lines) <= 7 and "\r" not in stream.getvalue()
    assert "20%" in lines[1]


def test_quiet_says_nothing() -> None:
    stream = io.StringIO()
    with ProgressBar(stream, quiet=True) as bar:
        bar(Step("score", None, 1, 2))
    assert stream.getvalue() == ""


def test_clock() -> None:
    assert (clock_text(5), clock_text(3725)) == ("0:05", "1:02:05")


def test_devices_are_what_a_model_can_be_loaded_on() -> None:
    """What the command and the panel offer is what `choose_device` knows, and nothing else."""
    for name in (*DEVICES, "cuda:0", "cuda:7"):
        assert values.device(name) == name
        try:
            choose_device(name)
        except DeviceError as error:  # no such card here: the name is known all the same
            assert "is not here" in str(error)
    for name in ("mps", "cuda:", "gpu", "cuda:x", ""):
        with pytest.raises(ArgumentTypeError, match=", ".join(DEVICES)):
            values.device(name)
        with pytest.raises(DeviceError, match=", ".join(DEVICES)):
            choose_device(name)

"""Two sentences a vertebra for the report, from what a reader accepted, in a template of one's own.

Templates are jinja2 and run in a sandbox: a file from elsewhere can format, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hideseek_backend.errors import InputError, OptionError
from hideseek_backend.wire.changes import Change, FollowUp
from hideseek_backend.wire.heights import collapses
from hideseek_backend.wire.records import Vertebra

LANGUAGES = ("en", "de")
KEPT_LOSS = 0.20
"""Share of height lost below which a body counts as kept: Genant's grade 1 begins there."""
_PARTS = ("anterior", "middle", "posterior")


@dataclass(frozen=True)
class LesionText:
    """Accepted lesions of one polarity in a vertebra. volume, change: mL; change and fate are None
    where there is no earlier date, or the two can't be compared. share: of the body, 0 to 1."""

    polarity: str
    count: int
    volume: float | None
    share: float | None
    change: float | None = None
    fate: str | None = None


@dataclass(frozen=True)
class VertebraText:
    """What is said of a vertebra. loss: share of height lost, None where it was not measured; part:
    where most is lost. gone: earlier lesions that are no longer found, (polarity, mL)."""

    level: str
    lesions: tuple[LesionText, ...]
    loss: float | None
    part: str
    kept: bool
    gone: tuple[tuple[str, float], ...] = ()


def report_text(
    vertebrae: Iterable[Vertebra],
    *,
    language: str = "en",
    template: str | None = None,
    told: FollowUp | None = None,
    volumes: bool = True,
) -> str:
    """Return the sentences, one line a vertebra; "" where a reader accepted nothing.

    vertebrae: with a reader's decisions. template: its text, the language's own by default.
    told: the follow-up of this result. volumes: False for results of the central slice.
    Raises OptionError for a language that has no template, InputError for a template that fails.
    """
    if template is None and language not in LANGUAGES:
        raise OptionError(
            f"Expected a language among {', '.join(LANGUAGES)}, got {language!r}.",
            "Give a template of your own with --template.",
        )
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    comma = language == "de"
    environment.filters["decimal"] = lambda value, digits=1: _decimal(value, digits, comma)
    environment.filters["signed"] = lambda value, digits=1: _signed(value, digits, comma)
    try:
        text = environment.from_string(template or own_template(language)).render(
            vertebrae=list(_said(list(vertebrae), told, volumes)),
            since=told.date_before if told is not None else "",
        )
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(
            f"The template of the report's text fails: {error}.",
            "Compare it with the one that the package brings (hideseek text --show-template).",
        ) from error
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


@cache
def own_template(language: str) -> str:
    """The template that the package brings, to be copied and changed."""
    folder = files("hideseek_backend.report") / "templates"
    return (folder / f"report-text.{language}.txt").read_text(encoding="utf-8")


def _said(
    vertebrae: list[Vertebra], told: FollowUp | None, volumes: bool
) -> Iterable[VertebraText]:
    losses = collapses({v.level: v.heights_mm for v in vertebrae})
    changes: Mapping[str, list[Change]] = {}
    if told is not None and told.comparable:
        changes = {v.level: [c for c in told.changes if c.vertebra == v.level] for v in vertebrae}
    for vertebra in vertebrae:
        own = changes.get(vertebra.level, [])
        lesions = tuple(
            text
            for polarity in ("lytic", "blastic")
            if (text := _lesions(vertebra, polarity, own, volumes)) is not None
        )
        gone = tuple((c.polarity, c.volume_before_mm3 / 1000) for c in own if c.fate == "gone")
        if not lesions and not gone:
            continue
        found = losses.get(vertebra.level)
        loss = found.loss if found is not None else None
        shares = (
            [m / e for m, e in zip(found.measured, found.expected, strict=True)] if found else [1.0]
        )
        yield VertebraText(
            vertebra.level, lesions, loss, _PARTS[shares.index(min(shares))],
            loss is not None and loss < KEPT_LOSS, gone,
        )  # fmt: skip


def _lesions(
    vertebra: Vertebra, polarity: str, changes: list[Change], volumes: bool
) -> LesionText | None:
    accepted = {
        c.number: c.volume_mm3
        for c in vertebra.candidates
        if c.decision == "accept" and c.polarity == polarity
    }
    if not accepted:
        return None
    total = sum(accepted.values())
    body = vertebra.body_volume_mm3
    own = [c for c in changes if set(c.after) & set(accepted) and c.fate != "not comparable"]
    told = {n for c in own for n in c.after}
    change = None
    if own and told >= set(accepted):
        change = sum(c.volume_mm3 - c.volume_before_mm3 for c in own) / 1000
    fates = {c.fate for c in own}
    if "indeterminate" in fates:  # the sum is no surer than its parts
        fates = {"indeterminate"}
    return LesionText(
        polarity,
        len(accepted),
        total / 1000 if volumes else None,
        total / body if volumes and math.isfinite(body) and body > 0 else None,
        change if volumes else None,
        fates.pop() if len(fates) == 1 else None,
    )


def _decimal(value: float, digits: int, comma: bool) -> str:
    text = f"{value:.{digits}f}"
    return text.replace(".", ",") if comma else text


def _signed(value: float, digits: int, comma: bool) -> str:
    text = _decimal(abs(value), digits, comma)
    if not float(text.replace(",", ".")):
        return "±" + text
    return ("+" if value > 0 else "\N{MINUS SIGN}") + text

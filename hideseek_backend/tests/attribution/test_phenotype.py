"""The phenotype of a vertebra from its candidates."""

from __future__ import annotations

import pytest

from hideseek_backend.attribution.options import Options
from hideseek_backend.attribution.phenotype import phenotype_of

AUTO = Options(polarity="auto", tau=0.5, mixed_fraction=0.2)
KINDS = ("lytic", "blastic", "lytic")


@pytest.mark.parametrize(
    ("areas", "deltas", "expected", "reported"),
    [
        ((50, 50, 0), (0.9, 0.9, 0), "mixed", {"lytic", "blastic"}),
        ((95, 5, 0), (0.9, 0.9, 0), "lytic", {"lytic"}),
        ((5, 95, 5), (0.9, 0.9, 0.9), "blastic", {"blastic"}),
        ((50, 50, 0), (0.9, 0.1, 0), "lytic", {"lytic"}),  # below tau counts for nothing
        ((50, 50, 50), (0.1, 0.1, 0.4), None, {"lytic", "blastic"}),
        ((30, 100, 0), (5.0, 1.0, 0), "mixed", {"lytic", "blastic"}),  # Δ counts up to 1
    ],
)
def test_auto(
    areas: tuple[int, ...], deltas: tuple[float, ...], expected: str | None, reported: set[str]
) -> None:
    assert phenotype_of(KINDS, areas, deltas, AUTO) == (expected, reported)


@pytest.mark.parametrize(
    ("polarity", "expected", "reported"),
    [
        ("lytic", "lytic", {"lytic"}),
        ("blastic", "blastic", {"blastic"}),
        ("both", "mixed", {"lytic", "blastic"}),
    ],
)
def test_given(polarity: str, expected: str, reported: set[str]) -> None:
    options = AUTO.with_changes(polarity=polarity)
    assert phenotype_of(KINDS, (95, 5, 0), (1, 1, 1), options) == (expected, reported)


def test_no_candidates() -> None:
    assert phenotype_of((), (), (), AUTO) == (None, {"lytic", "blastic"})


def test_an_improbable_polarity_is_dropped() -> None:
    options = Options(mixed_fraction=0.0, min_presence=0.4, tau=0.1)
    found, kept = phenotype_of(["lytic", "blastic"], [50, 50], [1, 1], options, (0.9, 0.1))
    assert (found, kept) == ("lytic", frozenset({"lytic"}))
    found, kept = phenotype_of(["lytic", "blastic"], [50, 50], [1, 1], options, (0.2, 0.3))
    assert (found, kept) == ("blastic", frozenset({"blastic"}))
    both = Options(polarity="both", min_presence=0.4, tau=0.1)
    assert phenotype_of(["lytic", "blastic"], [9, 9], [1, 1], both, (0.9, 0.1))[0] == "mixed"


def test_the_head_names_the_phenotype_where_it_is_sure() -> None:
    options = Options(mixed_fraction=0.0, min_presence=0.4, name_presence=0.8, tau=0.1)
    found, kept = phenotype_of(["lytic"], [50], [1], options, (0.9, 0.8))
    assert (found, kept) == ("mixed", frozenset({"lytic", "blastic"}))
    assert phenotype_of(["lytic"], [50], [1], options, (0.9, 0.7))[0] == "lytic"
    assert phenotype_of([], [], [], options, (0.6, 0.1))[0] == "lytic"
    # Below one half for both the head says healthy, and what is kept names the phenotype.
    assert phenotype_of(["blastic"], [50], [1], options, (0.1, 0.4))[0] == "blastic"
    assert phenotype_of([], [], [], options, (0.1, 0.4))[0] is None

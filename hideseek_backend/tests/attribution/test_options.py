"""Options: the two protocols, ranges, and where a value comes from."""

from __future__ import annotations

import json

import pytest

from hideseek_backend.attribution.options import Options
from hideseek_backend.errors import OptionError


def test_reference_is_the_paper() -> None:
    options = Options.for_protocol("reference")
    assert (options.invert_steps, options.render_steps, options.solver) == (250, 100, "ddim")
    assert (options.p_target, options.direction, options.edit_rounds) == (1e-4, "normal", 1)
    assert (options.binarize, options.residual_against) == ("mean", "reconstruction")
    assert (options.erode, options.min_area, options.tau) == (2, 5, 0.5)
    assert (options.projection, options.delta, options.p_slices) == ("same-noise", "probability", 1)
    assert options.slices == "central"


def test_model_defaults_change_fast_only() -> None:
    defaults = {"fast": {"tau": 0.4}, "reference": {"tau": 0.9}}
    assert Options.for_protocol("fast", defaults).tau == 0.4
    assert Options.for_protocol("reference", defaults).tau == 0.5
    assert Options.for_protocol("fast", defaults, tau=0.2).tau == 0.2


def test_none_leaves_a_field_alone() -> None:
    assert Options.for_protocol("reference", tau=None, erode=None).erode == 2


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("tau", float("nan"), "-10 to 10"),
        ("p_target", 0.0, "1e-12"),
        ("p_target", 0.7, "p_threshold"),
        ("p_slices", 4, "odd"),
        ("invert_steps", 2.5, "whole number"),
        ("invert_steps", 0, "1 to 1000"),
        ("connectivity", 6, "4, 8"),
        ("connectivity", True, "4, 8"),
        ("erode", -1, "0 to 10"),
        ("force", "yes", "true or false"),
        ("binarize", "best", "mean, median, hysteresis"),
        ("hysteresis_low", 0.9, "hysteresis_high"),
        ("polarity", "lytik", "auto, lytic, blastic, both"),
        ("max_batch", True, "whole number"),
    ],
)
def test_a_bad_value_names_field_and_range(field: str, value: object, named: str) -> None:
    with pytest.raises(OptionError, match=field) as caught:
        Options.for_protocol("fast", None, **{field: value})
    assert named in str(caught.value)


def test_unknown_names() -> None:
    with pytest.raises(OptionError, match="quick"):
        Options.for_protocol("quick")
    with pytest.raises(OptionError, match="tua"):
        Options.for_protocol("fast", None, tua=0.5)


def test_round_trip_through_json() -> None:
    options = Options.for_protocol("reference", slices="all")
    assert Options.from_dict(json.loads(json.dumps(options.to_dict()))) == options

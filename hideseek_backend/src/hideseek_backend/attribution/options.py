"""Every setting of the method in one place, with its range and the two protocols' values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from hideseek_backend.errors import OptionError

ProtocolName = Literal["fast", "reference"]
Direction = Literal["normal", "pattern", "posterior"]
Binarize = Literal["mean", "median", "otsu", "hysteresis"]
ResidualAgainst = Literal["image", "reconstruction"]
PolarityChoice = Literal["auto", "lytic", "blastic", "both"]
SliceChoice = Literal["central", "all"]
Projection = Literal["none", "same-noise", "original-noise", "partial"]
Delta = Literal["probability", "logit", "floor", "logit-floor", "pair", "shapley"]
SolverName = Literal["ddim", "multistep"]
Precision = Literal["auto", "float32"]


@dataclass(frozen=True)
class Options:
    """Settings of one run; the field defaults are the fast protocol's.

    Network
    protocol: the name of the set of defaults this came from.
    solver, invert_steps, render_steps: "ddim" or the third-order "multistep" and its steps.
    max_batch: slices that go through the network at once, at most.
    seed: of every random choice (only `delta="shapley"` makes one).

    Which vertebrae
    p_threshold: vertebrae below it are reported and not analysed.
    p_slices: slices whose mean latent gives the vertebra's p (odd; 1 as in the paper).
    p_span: middle share of the body's width that those are spread over; 0: the central ones. For
        models that learned from labels of slices at the sides.
    force: analyse vertebrae below `p_threshold` or cut by the field of view as well.
    slices: "central" as in the paper, or "all" sagittal slices that cross the body.
    slice_step: with "all", edit every n-th slice and interpolate the residual in between.

    Healthy edit (Atad et al. 2025, eq. 1)
    p_target: malignancy probability that the edit aims at.
    direction: along the classifier's "normal", along its activation "pattern", or to the
        "posterior" mean of the healthy latent (see `healthy_prior`), where p_target only says
        below which p a slice is left as it is.
    posterior_passes: how often the posterior mean is taken of its own result. A Wiener filter holds
        back where it cannot tell disease from anatomy; more passes take out more of both.
    edit_rounds: renders at most; after each the healthy image is encoded again and, while it is
        above p_target, moved on. 1 is the paper.
    shared_edit: with "all", move each slice at least as far as the central slices' mean.

    Candidates
    residual_against: subtract the "image" or its "reconstruction" from the healthy image.
    smooth_sigma, smooth_through: Gaussian blur of the residual in plane and across slices, in
        voxels of 0.8 mm; 0 is none.
    binarize: threshold at the "mean" or "median" of the positive residual inside the body, by
        "otsu", or by "hysteresis" between two shares of its 99th percentile.
    hysteresis_low, hysteresis_high: those shares.
    min_contrast: least residual in HU, whatever the threshold; 0 is none.
    peak_fraction: each candidate keeps what reaches this share of its own peak; 0 is all.
    closing: radius in px by which gaps between candidates of one polarity are closed.
    fill_holes: fill holes that are enclosed by a candidate and not of the other polarity.
    split_distance: split candidates at necks where their cores are this many px apart; 0 is never.
    connectivity: 4 or 8 neighbours in plane (across slices: direct overlap).
    erode: voxels taken off the body in plane before candidates are looked for.
    min_area: least area in px (0.64 mm² each) of a candidate's largest slice.
    min_slices: with "all", least number of slices that a candidate spans.
    reach: with "all", a candidate must come within this share of the way from the middle of the
        body to its side; 1 asks for nothing. Beyond, cortex fills the slices.

    Scores (eq. 2 and 3)
    projection: what happens to a composite before it is scored; see `scoring`.
    partial_depth: share of the noise range that the "partial" projection climbs.
    delta: which ratio is reported; see `scoring`.
    subsets: random subsets per candidate and slice of the "shapley" Δ.
    min_evidence: p is raised to at least this in Δ's denominator, so that a forced healthy
        vertebra does not turn noise into Δ = 1, and the denominator itself has a least value; 0 is
        the paper.
    score_slices: with "all", score a lesion on so many of its largest slices; 0 is all of them.
    tau: Δ from which a candidate is kept.
    polarity: which polarities are reported; "auto" decides by what each vertebra keeps.
    mixed_fraction: "auto" drops the polarity that holds less than this share of the kept area.
    min_presence: "auto" drops the polarity that the model's polarity head holds less probable.
    name_presence: "auto" names the phenotype by the head: the more probable polarity, and the other
        from this probability on; 0 names it after what is kept.
    """

    protocol: ProtocolName = "fast"
    solver: SolverName = "multistep"
    invert_steps: int = 20
    render_steps: int = 20
    precision: Precision = "auto"
    max_batch: int = 32
    seed: int = 0

    p_threshold: float = 0.5
    p_slices: int = 5
    p_span: float = 0.0
    force: bool = False
    slices: SliceChoice = "central"
    slice_step: int = 1

    p_target: float = 1e-2
    direction: Direction = "pattern"
    posterior_passes: int = 1
    edit_rounds: int = 2
    shared_edit: bool = False

    residual_against: ResidualAgainst = "reconstruction"
    smooth_sigma: float = 0.5
    smooth_through: float = 0.7
    binarize: Binarize = "hysteresis"
    hysteresis_low: float = 0.3
    hysteresis_high: float = 0.5
    min_contrast: float = 50.0
    peak_fraction: float = 0.4
    closing: int = 1
    fill_holes: bool = True
    split_distance: int = 0
    connectivity: int = 4
    erode: int = 1
    min_area: int = 5
    min_slices: int = 2
    reach: float = 1.0

    projection: Projection = "none"
    partial_depth: float = 0.5
    delta: Delta = "logit-floor"
    subsets: int = 8
    min_evidence: float = 0.5
    score_slices: int = 5
    tau: float = 0.3
    polarity: PolarityChoice = "auto"
    mixed_fraction: float = 0.2
    min_presence: float = 0.0
    name_presence: float = 0.0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                _refuse(name, "true or false", getattr(self, name))
        for name in _INTEGERS:
            _check_range(name, getattr(self, name), _INTEGERS[name], integer=True)
        for name in _NUMBERS:
            _check_range(name, getattr(self, name), _NUMBERS[name], integer=False)
        if self.p_slices % 2 == 0:
            _refuse("p_slices", "an odd number of slices", self.p_slices)
        if self.hysteresis_low > self.hysteresis_high:
            _refuse("hysteresis_low", "at most hysteresis_high", self.hysteresis_low)
        if self.p_target >= self.p_threshold:
            _refuse("p_target", f"below p_threshold ({self.p_threshold:g})", self.p_target)

    @classmethod
    def for_protocol(
        cls,
        name: str = "fast",
        model_defaults: Mapping[str, Mapping[str, Any]] | None = None,
        **overrides: Any,
    ) -> Options:
        """Return a protocol's options: its defaults, then the model's, then `overrides`.

        model_defaults: {protocol: {field: value}} as a model's spec stores them; they apply to
        the "fast" protocol only, because "reference" means the paper whatever the model.
        overrides: fields by name; None leaves a field as it is.

        Raises OptionError naming the field, its range and what was got.
        """
        _check_choice("protocol", name, get_args(ProtocolName))
        values = dict(_PROTOCOLS[name])
        if name == "fast" and model_defaults:
            values.update(model_defaults.get(name, {}))
        values.update({key: value for key, value in overrides.items() if value is not None})
        values["protocol"] = name
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Options:
        """Read options from plain values; fields left out take the fast protocol's defaults.

        Raises OptionError on an unknown field or a value out of its range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise OptionError(
                f"Unknown option {', '.join(unknown)}.",
                f"The options are {', '.join(sorted(known))}.",
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as JSON-ready values."""
        return asdict(self)

    def with_changes(self, **changes: Any) -> Options:
        """Return a copy with some fields changed, checked again."""
        return replace(self, **changes)


# The paper's values (its table 3); see also Options' docstring.
_REFERENCE: dict[str, Any] = {
    "solver": "ddim",
    "invert_steps": 250,
    "render_steps": 100,
    "precision": "float32",
    # One slice at a time, as the authors run it: batches round otherwise, and then Δ of a badly
    # conditioned network is no longer the reference's.
    "max_batch": 1,
    "p_slices": 1,
    "p_target": 1e-4,
    "direction": "normal",
    "edit_rounds": 1,
    "residual_against": "reconstruction",
    "smooth_sigma": 0.0,
    "smooth_through": 0.0,
    "binarize": "mean",
    "min_contrast": 0.0,
    "peak_fraction": 0.0,
    "closing": 0,
    "fill_holes": False,
    "connectivity": 4,
    "erode": 2,
    "min_area": 5,
    "min_slices": 1,
    "projection": "same-noise",
    "delta": "probability",
    "min_evidence": 0.0,
    "score_slices": 0,
    "tau": 0.5,
    "polarity": "both",
}

_PROTOCOLS: dict[str, dict[str, Any]] = {"fast": {}, "reference": _REFERENCE}

_CHOICES: dict[str, tuple[Any, ...]] = {
    "protocol": get_args(ProtocolName),
    "solver": get_args(SolverName),
    "direction": get_args(Direction),
    "binarize": get_args(Binarize),
    "residual_against": get_args(ResidualAgainst),
    "connectivity": (4, 8),
    "polarity": get_args(PolarityChoice),
    "slices": get_args(SliceChoice),
    "projection": get_args(Projection),
    "precision": get_args(Precision),
    "delta": get_args(Delta),
}

_FLAGS = ("force", "shared_edit", "fill_holes")

_INTEGERS: dict[str, tuple[int, int]] = {
    "invert_steps": (1, 1000),
    "render_steps": (1, 1000),
    "max_batch": (1, 4096),
    "seed": (0, 2**63 - 1),
    "p_slices": (1, 15),
    "slice_step": (1, 8),
    "posterior_passes": (1, 10),
    "edit_rounds": (1, 20),
    "closing": (0, 10),
    "split_distance": (0, 32),
    "erode": (0, 10),
    "min_area": (1, 4096),
    "min_slices": (1, 64),
    "subsets": (1, 1024),
    "score_slices": (0, 64),
}

_NUMBERS: dict[str, tuple[float, float]] = {
    "p_threshold": (1e-6, 1 - 1e-6),
    "p_span": (0.0, 1.0),
    "p_target": (1e-12, 1 - 1e-6),
    "smooth_sigma": (0.0, 10.0),
    "smooth_through": (0.0, 10.0),
    "hysteresis_low": (0.0, 1.0),
    "hysteresis_high": (0.0, 1.0),
    "min_contrast": (0.0, 4000.0),
    "peak_fraction": (0.0, 1.0),
    "reach": (0.0, 1.0),
    "partial_depth": (0.01, 1.0),
    "min_evidence": (0.0, 1 - 1e-6),
    "tau": (-10.0, 10.0),
    "mixed_fraction": (0.0, 0.5),
    "min_presence": (0.0, 1.0),
    "name_presence": (0.0, 1.0),
}


def _check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    if isinstance(value, bool) or value not in choices:
        _refuse(name, f"one of {', '.join(str(choice) for choice in choices)}", value)


def _check_range(name: str, value: Any, limits: tuple[float, float], *, integer: bool) -> None:
    low, high = limits
    kinds: tuple[type, ...] = (int,) if integer else (int, float)
    right_kind = isinstance(value, kinds) and not isinstance(value, bool)
    if not right_kind or not low <= value <= high:  # also refuses NaN
        what = "a whole number" if integer else "a number"
        _refuse(name, f"{what} from {low:g} to {high:g}", value)


def _refuse(name: str, expected: str, got: Any) -> None:
    raise OptionError(f"Option {name}: expected {expected}, got {got!r}.", "Change that value.")

"""Every setting of the method in one place, with its range and the two protocols' values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from hideseek_backend.errors import OptionError
from hideseek_backend.wire.heights import GENANT_GRADE_2

ProtocolName = Literal["fast", "reference"]
Direction = Literal["normal", "pattern", "posterior"]
Binarize = Literal["mean", "median", "hysteresis"]
ResidualAgainst = Literal["image", "reconstruction"]
PolarityChoice = Literal["auto", "lytic", "blastic", "both"]
SliceChoice = Literal["central", "all"]
Projection = Literal["none", "same-noise"]
Delta = Literal["probability", "logit-floor"]
SolverName = Literal["ddim", "multistep"]
Precision = Literal["auto", "float32"]


def _whole(default: int, low: int, high: int) -> Any:
    return field(default=default, metadata={"range": (low, high), "kind": int})


def _number(default: float, low: float, high: float) -> Any:
    return field(default=default, metadata={"range": (low, high), "kind": float})


def _one_of(default: Any, choices: Any) -> Any:
    given = choices if isinstance(choices, tuple) else get_args(choices)
    return field(default=default, metadata={"choices": given})


def _flag(default: bool) -> Any:
    return field(default=default, metadata={"kind": bool})


_ALMOST_ONE = 1 - 1e-6


@dataclass(frozen=True)
class Options:
    """Settings of one run; each field holds its range or choices as metadata.

    A model stores its complete fast protocol, so that a default changed here changes no result of
    a model that is at hand. A field that is new must default to what the method did without it.

    Network
    protocol: the name of the set of defaults this came from.
    solver, invert_steps, render_steps: "ddim" or the third-order "multistep" and its steps.
    precision: "auto" lowers the network's where that pays, "float32" never does.
    max_batch: slices that go through the network at once, at most.

    Which vertebrae
    p_threshold: vertebrae below it are reported and not analysed.
    p_slices: slices whose mean latent gives the vertebra's p (odd; 1 as in the paper).
    p_span: middle share of the body's width that those are spread over; 0: the central ones. For
        models that learned from labels of slices at the sides.
    fracture_loss: a body that lost more than this share of its height, held against its
        neighbours, is said to be fractured (Genant's grade 2 begins at 0.25).
    force: analyse vertebrae below `p_threshold` or cut by the field of view as well.
    slices: "central" as in the paper, or "all" sagittal slices that cross the body.

    Healthy edit (Atad et al. 2025, eq. 1)
    p_target: malignancy probability that the edit aims at.
    direction: along the classifier's "normal", along its activation "pattern", or to the
        "posterior" mean of the healthy latent (see `healthy_prior`), where p_target only says
        below which p a slice is left as it is.
    posterior_passes: how often the posterior mean is taken of its own result. A Wiener filter holds
        back where it cannot tell disease from anatomy; more passes take out more of both.
    edit_margin: px beyond the body from which the healthy image is the original again, softly, so
        that only this vertebra is healed; 0 takes the whole picture as the network paints it.
    edit_rounds: renders at most; after each the healthy image is encoded again and, while it is
        above p_target, moved on. 1 is the paper.

    Candidates
    residual_against: subtract the "image" or its "reconstruction" from the healthy image.
    smooth_sigma, smooth_through: Gaussian blur of the residual in plane and across slices, in
        voxels of 0.8 mm; 0 is none.
    binarize: threshold at the "mean" or "median" of the positive residual inside the body, or by
        "hysteresis" between two shares of its 99th percentile.
    hysteresis_low, hysteresis_high: those shares.
    min_contrast: least residual in HU, whatever the threshold; 0 is none.
    peak_fraction: each candidate keeps what reaches this share of its own peak; 0 is all.
    lytic_ceiling: HU from which a lytic residual is kept whatever the peak, where a broken cortex
        stands out several times more than the marrow behind it; 0 follows the peak alone.
    closing: radius in px by which gaps between candidates of one polarity are closed.
    fill_holes: fill holes that are enclosed by a candidate and not of the other polarity.
    split_distance: split candidates at necks where their cores are this many px apart; 0 is never.
    merge_depth: pieces that a split made are one again where the residual on their border reaches
        this share of the weaker piece's peak; 0 never merges.
    connectivity: 4 or 8 neighbours in plane (across slices: direct overlap).
    erode: voxels taken off the body in plane before candidates are looked for.
    min_area: least area in px (0.64 mm² each) of a candidate's largest slice.
    min_slices: with "all", least number of slices that a candidate spans.
    reach: with "all", a candidate must come within this share of the way from the middle of the
        body to its side; 1 asks for nothing. Beyond, cortex fills the slices.

    Scores (eq. 2 and 3)
    projection: what happens to a composite before it is scored; see `scoring`.
    delta: which ratio is reported; see `scoring`.
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

    protocol: ProtocolName = _one_of("fast", ProtocolName)
    solver: SolverName = _one_of("multistep", SolverName)
    invert_steps: int = _whole(20, 1, 1000)
    render_steps: int = _whole(20, 1, 1000)
    precision: Precision = _one_of("auto", Precision)
    max_batch: int = _whole(32, 1, 4096)

    p_threshold: float = _number(0.5, 1e-6, _ALMOST_ONE)
    p_slices: int = _whole(5, 1, 15)
    p_span: float = _number(0.0, 0.0, 1.0)
    fracture_loss: float = _number(GENANT_GRADE_2, 0.0, 1.0)
    force: bool = _flag(False)
    slices: SliceChoice = _one_of("central", SliceChoice)

    p_target: float = _number(1e-2, 1e-12, _ALMOST_ONE)
    direction: Direction = _one_of("pattern", Direction)
    posterior_passes: int = _whole(1, 1, 10)
    edit_margin: int = _whole(0, 0, 32)
    edit_rounds: int = _whole(2, 1, 20)

    residual_against: ResidualAgainst = _one_of("reconstruction", ResidualAgainst)
    smooth_sigma: float = _number(0.5, 0.0, 10.0)
    smooth_through: float = _number(0.7, 0.0, 10.0)
    binarize: Binarize = _one_of("hysteresis", Binarize)
    hysteresis_low: float = _number(0.3, 0.0, 1.0)
    hysteresis_high: float = _number(0.5, 0.0, 1.0)
    min_contrast: float = _number(50.0, 0.0, 4000.0)
    peak_fraction: float = _number(0.4, 0.0, 1.0)
    lytic_ceiling: float = _number(0.0, 0.0, 4000.0)
    closing: int = _whole(1, 0, 10)
    fill_holes: bool = _flag(True)
    split_distance: int = _whole(0, 0, 32)
    merge_depth: float = _number(0.0, 0.0, 1.0)
    connectivity: int = _one_of(4, (4, 8))
    erode: int = _whole(1, 0, 10)
    min_area: int = _whole(5, 1, 4096)
    min_slices: int = _whole(2, 1, 64)
    reach: float = _number(1.0, 0.0, 1.0)

    projection: Projection = _one_of("none", Projection)
    delta: Delta = _one_of("logit-floor", Delta)
    min_evidence: float = _number(0.5, 0.0, _ALMOST_ONE)
    score_slices: int = _whole(5, 0, 64)
    tau: float = _number(0.3, -10.0, 10.0)
    polarity: PolarityChoice = _one_of("auto", PolarityChoice)
    mixed_fraction: float = _number(0.2, 0.0, 0.5)
    min_presence: float = _number(0.0, 0.0, 1.0)
    name_presence: float = _number(0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        for entry in fields(self):
            _check(entry.name, getattr(self, entry.name), entry.metadata)
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
        if name not in get_args(ProtocolName):
            _refuse("protocol", f"one of {', '.join(get_args(ProtocolName))}", name)
        values = dict(_PROTOCOLS[name])
        if name == "fast" and model_defaults:
            values.update(model_defaults.get(name, {}))
        values.update({key: value for key, value in overrides.items() if value is not None})
        values["protocol"] = name
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Options:
        """Read options from plain values; fields left out take the class's defaults.

        Raises OptionError on an unknown field or a value out of its range.
        """
        known = {entry.name for entry in fields(cls)}
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


def complete_protocol(defaults: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return the whole fast protocol of a model as plain values, for its spec.

    defaults: {"fast": {field: value}}, what differs from the class's defaults.
    """
    options = Options.for_protocol("fast", defaults).to_dict()
    # Whether healthy vertebrae are analysed as well is a run's choice and no model's.
    return {key: value for key, value in options.items() if key not in ("protocol", "force")}


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


def _check(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
    choices, kind = metadata.get("choices"), metadata.get("kind")
    if choices is not None:
        if isinstance(value, bool) or value not in choices:
            _refuse(name, f"one of {', '.join(str(choice) for choice in choices)}", value)
    elif kind is bool:
        if not isinstance(value, bool):
            _refuse(name, "true or false", value)
    else:
        low, high = metadata["range"]
        right_kind = isinstance(value, int if kind is int else (int, float))
        # NaN is in no range.
        if not right_kind or isinstance(value, bool) or not low <= value <= high:
            what = "a whole number" if kind is int else "a number"
            _refuse(name, f"{what} from {low:g} to {high:g}", value)


def _refuse(name: str, expected: str, got: Any) -> None:
    raise OptionError(f"Option {name}: expected {expected}, got {got!r}.", "Change that value.")

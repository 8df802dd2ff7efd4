"""Speed benchmark: the reference protocol as published against the fast one, and what it costs.

Three runs on the same central slices with the same weights on the same device:

- *reference*: DDIM 250/100, one slice at a time, the paper's settings;
- *fast*: the fast protocol, as `hideseek segment` runs it;
- *converged*: the fast protocol's definition solved with so many steps, in float32, that more
  change nothing.

Agreement with the converged run says what the fast solver gives up. Agreement with the reference
is of the *paper's* definition, solved fast and without its projection, whose only effect is the
error of its 250 and 100 steps (docs/speed.md).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hideseek_backend.attribution.attribute import Stack
from hideseek_backend.attribution.classifier import LatentClassifier
from hideseek_backend.attribution.intensity import intensity_map
from hideseek_backend.attribution.options import Options, complete_protocol
from hideseek_backend.attribution.vertebra import central_slices
from hideseek_backend.dae import DaeConfig, DiffusionAutoencoder
from hideseek_backend.models.devices import choose_device
from hideseek_backend.models.reference_import import REFERENCE_INTENSITY, fast_defaults
from hideseek_backend.models.spec import ModelSpec
from hideseek_backend.models.store import Model, load_model, prepared
from hideseek_backend.phantom import make_block
from hideseek_backend.volumes.crops import crop_block
from hideseek_lab.benchmark.speed_run import Agreement, Timed, run_slice, score_same
from hideseek_lab.benchmark.speed_spine import measure_spine

FIRST_SEED = 2_000_000
CONVERGED_STEPS = 100
REFERENCE_SIZE = "reference-size"
REFERENCE_SIZE_CANDIDATES = 11

SpeedProgress = Callable[[str, int, int], None]
"""(what is measured, done, total)."""


@dataclass(frozen=True)
class SpeedPlan:
    """What to measure.

    models: names or folders; "reference-size" is the published architecture (90.8 M parameters)
    with random weights, whose time is that of the released ones; its pictures are noise, so that
    agreement would mean nothing and is not measured.
    vertebrae: malignant phantom vertebrae for fast and converged; reference_vertebrae: of those,
    how many the reference protocol takes (half a minute each).
    large_vertebrae: the same, and both, for models of more than 20 M parameters. Of their reference
    protocol one step in large_share is run (it would take ten minutes), and its time is what these
    take a call, times all calls; it is not compared with the fast one then.
    reference_steps: 250 and 100 as published; fewer are for tests, and reported.
    slices: time and compare the protocols on single slices. spine: time a whole phantom spine (not
    with a large model on a processor, which takes an hour). spine_threads: its threads, all
    processors by default; the rest uses torch's.
    """

    models: tuple[str, ...] = ("bundled", REFERENCE_SIZE)
    device: str = "auto"
    vertebrae: int = 12
    reference_vertebrae: int = 3
    large_vertebrae: int = 1
    large_share: int = 10
    reference_steps: tuple[int, int] = (250, 100)
    converged_steps: int = CONVERGED_STEPS
    slices: bool = True
    spine: bool = True
    spine_threads: int = field(default_factory=lambda: os.cpu_count() or 1)


@dataclass
class NetworkSpeed:
    """The figures of one network: see `to_dict` for their names.

    share: of the reference's steps one in so many was run, and the rest computed.
    """

    name: str
    parameters: int
    device: str
    reference_options: Options
    fast_options: Options
    share: int = 1
    reference: list[dict[str, float]] = field(default_factory=list)
    fast: list[dict[str, float]] = field(default_factory=list)
    fast_of_reference: list[dict[str, float]] = field(default_factory=list)
    converged: dict[str, float | int] = field(default_factory=dict)
    against_reference: dict[str, float | int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-ready figures.

        Seconds are medians a vertebra; seconds_fast is of the vertebrae that the reference took.
        """
        reference = _median(self.reference, "seconds")
        same = _median(self.fast_of_reference, "seconds")
        cpu = _median(self.reference, "cpu_seconds"), _median(self.fast_of_reference, "cpu_seconds")
        return {
            "parameters": self.parameters,
            "device": self.device,
            "vertebrae_fast": len(self.fast),
            "vertebrae_reference": len(self.reference),
            "reference_steps_run": "all" if self.share == 1 else f"1 in {self.share}",
            "seconds_reference": reference,
            "seconds_fast": same,
            "seconds_fast_all": _median(self.fast, "seconds"),
            "ratio": reference / same if reference and same else None,
            "cpu_seconds_reference": cpu[0],
            "cpu_seconds_fast": cpu[1],
            "cpu_ratio": cpu[0] / cpu[1] if cpu[0] and cpu[1] else None,
            "calls_reference": _median(self.reference, "calls"),
            "calls_fast": _median(self.fast, "calls"),
            "evaluations_fast": _median(self.fast, "evaluations"),
            "candidates_reference": _median(self.reference, "candidates"),
            **{k: self.converged.get(k) for k in _AGREEMENT},
            "peak_memory_mb": _largest(self.fast, "peak_mb"),
            "peak_memory_mb_reference": _largest(self.reference, "peak_mb"),
            "agreement_with_converged": self.converged,
            "agreement_with_reference": self.against_reference,
            "options_reference": self.reference_options.to_dict(),
            "options_fast": self.fast_options.to_dict(),
        }


_AGREEMENT = ("delta_abs_p95", "delta_abs_max", "flips", "mask_dice")


def run(
    plan: SpeedPlan | None = None,
    cache: Path | None = None,
    progress: SpeedProgress | None = None,
) -> dict[str, Any]:
    """Measure everything in `plan` and return JSON-ready figures.

    cache: folder in which each reference run is kept, so that a stopped benchmark goes on; its
    figures are those of this machine only, and are kept apart by device and thread count.
    """
    plan = plan or SpeedPlan()
    report = progress or (lambda _what, _done, _total: None)
    networks, spines = {}, {}
    for name in plan.models:
        model = _model(name, plan.device)
        if plan.slices:
            networks[name] = measure_network(model, name, plan, cache, report).to_dict()
        if plan.spine and not (_large(model) and model.device.type == "cpu"):
            options = Options.for_protocol("fast", model.spec.defaults)
            spines[name] = measure_spine(model, options, report, threads=plan.spine_threads)
    return {"machine": machine(), "networks": networks, "spine": spines}


def measure_network(
    model: Model, name: str, plan: SpeedPlan, cache: Path | None, report: SpeedProgress
) -> NetworkSpeed:
    """Time and compare the protocols with one model."""
    parameters = sum(p.numel() for p in model.dae.parameters())
    large = _large(model)
    count = plan.large_vertebrae if large else plan.vertebrae
    references = count if large else min(count, plan.reference_vertebrae)
    share = plan.large_share if large else 1
    most = REFERENCE_SIZE_CANDIDATES if name == REFERENCE_SIZE else None
    steps = [max(1, n // share) for n in plan.reference_steps]
    reference = Options.for_protocol("reference", invert_steps=steps[0], render_steps=steps[1])
    fast = Options.for_protocol("fast", model.spec.defaults)
    # The paper's definition with the fast solver: what its faithful but quick version would give.
    paper = Options.for_protocol("fast", {"fast": fast_defaults()}).with_changes(
        invert_steps=fast.invert_steps, render_steps=fast.render_steps
    )
    converged = _converged(fast, plan.converged_steps)
    result = NetworkSpeed(name, parameters, device_name(model.device), reference, fast, share)
    close, published = Agreement(), Agreement()
    slices = list(slices_of(model, count))
    warm_up = fast.with_changes(invert_steps=2, render_steps=2)
    run_slice(model, slices[0], warm_up, most=most)
    for index, shown in enumerate(slices):
        report(f"{name}: fast", index, count)
        quick = run_slice(model, shown, fast, most=most, screened=fast.p_slices)
        result.fast.append(quick.figures())
        if name == REFERENCE_SIZE:
            continue
        target = run_slice(model, shown, converged, most=most)
        scores = score_same(model, quick, target.candidates, fast, most)
        close.add(quick, target, scores, fast.tau)
    for index, shown in enumerate(slices[:references]):
        report(f"{name}: reference", index, references)
        slow = _reference_run(model, shown, reference, most, cache, index)
        result.reference.append(_whole(slow, plan.reference_steps))
        result.fast_of_reference.append(result.fast[index])
        if share > 1:
            continue
        quick = run_slice(model, shown, paper, most=most)
        scores = score_same(model, quick, slow.candidates, paper, most)
        published.add(quick, slow, scores, reference.tau)
    report(f"{name}: reference", references, references)
    result.converged = {} if name == REFERENCE_SIZE else close.to_dict()
    result.against_reference = published.to_dict() if share == 1 else {}
    return result


def _whole(run: Timed, steps: tuple[int, int]) -> dict[str, float]:
    """What a reference run would have taken with all steps: its seconds a call, times all calls.

    An encoding counts as a call of the UNet, though it takes less time: fewer steps hold a larger
    share of them, so that the reference comes out too fast rather than too slow.
    """
    invert, render = steps
    calls = 3 + invert + 2 * render + len(run.scores) * (2 + invert + render)
    taken = run.figures()
    times = {name: taken[name] * calls / run.calls for name in ("seconds", "cpu_seconds")}
    return taken | times | {"calls": calls}


def _large(model: Model) -> bool:
    return sum(p.numel() for p in model.dae.parameters()) > 20_000_000


def slices_of(model: Model, count: int) -> Iterator[Stack]:
    """Central slices of malignant phantom vertebrae of the test seeds, phenotypes in turn.

    Vertebrae that the model calls healthy are passed over, as the method does, unless it calls
    almost every one so.
    """
    phenotypes = ("lytic", "blastic", "mixed")
    given = 0
    for index in range(4 * count):
        if given == count:
            return
        block = make_block(FIRST_SEED + index, phenotype=phenotypes[index % 3]).block
        crop = crop_block(block)
        held = crop.slices.index(central_slices(crop, 1)[0])
        hu, valid = crop.hu[:, :, held : held + 1], crop.valid[:, :, held : held + 1]
        image = model.intensity.to_intensity(np.moveaxis(hu, 2, 0), np.moveaxis(valid, 2, 0))
        body = (crop.body & crop.valid)[:, :, held : held + 1]
        shown = Stack(torch.from_numpy(image)[:, None], hu, body)
        z = model.dae.encode(shown.images.to(model.device))
        if model.classifier.probability(z)[0] >= 0.5 or 4 * count - index <= count - given:
            given += 1
            yield shown


def reference_size_model(device: str = "auto") -> Model:
    """The published architecture of 90.8 M parameters with random weights.

    The convolutions that start at zero are given small weights, so that the prediction depends on
    x and z, a healthy edit yields candidates, and trajectories stay tame.
    """
    torch.manual_seed(0)
    dae = DiffusionAutoencoder(DaeConfig()).eval().requires_grad_(False)
    for parameter in dae.network.parameters():
        if parameter.ndim == 4 and not parameter.any():
            torch.nn.init.normal_(parameter, std=0.01)
    rng = np.random.default_rng(0)
    channels = dae.config.z_channels
    weight = rng.normal(0, channels**-0.5, channels)
    classifier = LatentClassifier(np.zeros(channels), np.full(channels, 0.05), weight, 3.0)
    spec = ModelSpec(
        name=REFERENCE_SIZE,
        architecture=dae.config,
        intensity=intensity_map(REFERENCE_INTENSITY),
        weights_sha256="",
        defaults={"fast": complete_protocol({"fast": fast_defaults()})},
    )
    chosen = choose_device(device)
    return prepared(Model(dae, classifier, spec, chosen, hash=f"{REFERENCE_SIZE} seed 0"))


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def device_name(device: torch.device) -> str:
    """The device in words: a GPU's name, or the processor and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu ({_processor()}, {torch.get_num_threads()} threads)"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _model(name: str, device: str) -> Model:
    return reference_size_model(device) if name == REFERENCE_SIZE else load_model(name, device)


def _converged(fast: Options, steps: int) -> Options:
    return fast.with_changes(
        solver="multistep", invert_steps=steps, render_steps=steps, precision="float32"
    )


def _reference_run(
    model: Model, shown: Stack, options: Options, most: int | None, cache: Path | None, index: int
) -> Timed:
    """Run the reference protocol on a slice, or read what an earlier run on this machine kept."""
    if cache is None:
        return run_slice(model, shown, options, most=most)
    settings = json.dumps(
        [options.to_dict(), model.hash, machine(), str(model.device), most, index]
    )
    digest = hashlib.sha256(settings.encode() + shown.images.numpy().tobytes())
    path = cache / f"reference-{digest.hexdigest()[:24]}.pt"
    if not path.is_file():
        run_slice(model, shown, options, most=most).save(path)
    return Timed.read(path)


def _median(rows: Sequence[dict[str, float]], key: str) -> float | None:
    return float(np.median([row[key] for row in rows])) if rows else None


def _largest(rows: Sequence[dict[str, float]], key: str) -> float | None:
    return max((row[key] for row in rows), default=None)

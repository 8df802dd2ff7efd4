"""Preflight: what the analysis needs, what is there, and how to install what is missing.

Knows no Qt. It turns the facts of `probe.py` into checks, and wishes into steps of pip arguments;
`panel.environment_page` shows the checks and runs the steps. Nothing is installed unless the user
presses a button.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from HideSeekLib.i18n import _
from HideSeekLib.wire.version import VERSION
from HideSeekLib.worker.settings import BackendSettings

PINNED = ("numpy", "scipy", "SimpleITK", "vtk")
"""Packages that are Slicer's own and must not move."""

TORCH_REQUIREMENT = ">=2.4"
GIB = 1024**3


class CheckState(str, Enum):
    """What a look at the Python came to."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """One line of the environment page.

    action: what the button does ("", "torch", "backend", "model"); action_text: its label.
    """

    key: str
    title: str
    state: CheckState
    text: str
    action: str = ""
    action_text: str = ""


def probe_source(names: Iterable[str]) -> str:
    """Return the program that looks at a Python; it is sent on standard input."""
    source = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    return f"NAMES = {json.dumps(json.dumps(sorted(names)))}\n{source}"


def parse_probe(output: str) -> dict[str, Any] | None:
    """Return the facts in what a probe printed, or None when they are not there."""
    for line in output.splitlines():
        if line.startswith("hideseek-probe:"):
            try:
                facts = json.loads(line.partition(":")[2])
            except json.JSONDecodeError:
                return None
            return facts if isinstance(facts, dict) else None
    return None


def backend_copy() -> Path | None:
    """Return the folder of the backend's copy that came with the extension."""
    beside = Path(__file__).resolve().parents[2] / "hideseek_backend"
    return beside if beside.joinpath("pyproject.toml").is_file() else None


def requirements(copy: Path | None = None) -> list[str]:
    """Return the backend's requirements as its pyproject.toml lists them.

    Read line by line: tomllib is not in Python 3.10, and the list is our own file.
    """
    copy = copy or backend_copy()
    if copy is None:
        return []
    text = copy.joinpath("pyproject.toml").read_text(encoding="utf-8")
    block = re.search(r"^dependencies = \[(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    return re.findall(r'^\s*"([^"]+)"', block.group(1), re.MULTILINE) if block else []


def requirement_name(requirement: str) -> str:
    """Return the distribution name of a requirement."""
    return re.split(r"[\s<>=!~;\[]", requirement.strip(), maxsplit=1)[0]


def missing_requirements(facts: Mapping[str, Any], copy: Path | None = None) -> list[str]:
    """Return the requirements that are not installed, without torch, which has its own way.

    A package that can be imported counts as there even without metadata: Slicer's SimpleITK is
    built with Slicer.
    """
    packages, importable = facts.get("packages", {}), facts.get("importable", {})
    missing = []
    for requirement in requirements(copy):
        name = requirement_name(requirement)
        if name == "torch" or packages.get(name) or importable.get(name):
            continue
        missing.append(requirement)
    return missing


def checks(facts: Mapping[str, Any] | None, settings: BackendSettings) -> list[Check]:
    """Return one check per item, in the order in which they should be repaired."""
    titles = {
        "python": _("Python"),
        "torch": _("PyTorch"),
        "backend": _("Backend"),
        "gpu": _("GPU"),
        "memory": _("Memory"),
        "disk": _("Disk"),
        "model": _("Model"),
    }
    if facts is None:
        return [
            Check(key, title, CheckState.UNKNOWN, _("not checked yet"))
            for key, title in titles.items()
        ]
    install = "" if settings.remote() else _("Install")
    return [
        Check("python", titles["python"], *_python(facts)),
        _torch(titles["torch"], facts, install),
        _backend(titles["backend"], facts, install),
        Check("gpu", titles["gpu"], *_gpu(facts)),
        Check("memory", titles["memory"], *_memory(facts)),
        Check("disk", titles["disk"], *_disk(facts)),
        _model(titles["model"], facts, settings),
    ]


def failed_checks(reason: str) -> list[Check]:
    """Return the checks for a Python that could not be asked."""
    return [
        Check("python", _("Python"), CheckState.MISSING, reason),
        *(c for c in checks(None, BackendSettings()) if c.key != "python"),
    ]


def _python(facts: Mapping[str, Any]) -> tuple[CheckState, str]:
    version = str(facts.get("python", "?"))
    text = f"{version} · {facts.get('executable', '')}"
    try:
        known = (3, 10) <= tuple(int(part) for part in version.split(".")[:2]) < (3, 14)
    except ValueError:
        known = False
    if known:
        return CheckState.OK, text
    return CheckState.MISSING, text + " · " + _("needs 3.10 to 3.13; Slicer has that from 5.10 on")


def _torch(title: str, facts: Mapping[str, Any], install: str) -> Check:
    torch = facts.get("torch", {})
    if not torch and facts.get("platform") == "darwin/x86_64":
        # The last torch for it is 2.2, which wants another numpy than Slicer's.
        text = _("no PyTorch for an Intel (or Rosetta) Slicer: choose a Python of your own (arm64)")
        return Check("torch", title, CheckState.MISSING, text)
    if torch.get("error"):
        return Check(
            "torch", title, CheckState.MISSING, torch["error"], "torch" if install else "", install
        )
    if not torch:
        text = _("not installed")
        return Check("torch", title, CheckState.MISSING, text, "torch" if install else "", install)
    return Check("torch", title, CheckState.OK, str(torch.get("version")))


def _backend(title: str, facts: Mapping[str, Any], install: str) -> Check:
    backend = facts.get("backend", {})
    action = "backend" if install else ""
    if backend.get("error"):
        return Check("backend", title, CheckState.MISSING, backend["error"], action, _("Repair"))
    if not backend:
        text = _("not installed")
        if not install:
            text += " · " + _("install hideseek-backend with pip on the other computer")
        return Check("backend", title, CheckState.MISSING, text, action, install)
    lacking = [requirement_name(r) for r in missing_requirements(facts)]
    if lacking:
        text = _("lacks {names}").format(names=", ".join(lacking))
        return Check("backend", title, CheckState.MISSING, text, action, install and _("Repair"))
    found = backend.get("version")
    if found is not None and found != VERSION:
        text = _("{found}; this extension carries {own}").format(found=found, own=VERSION)
        return Check("backend", title, CheckState.WARNING, text, action, install and _("Update"))
    return Check("backend", title, CheckState.OK, str(found or _("source tree")))


def _gpu(facts: Mapping[str, Any]) -> tuple[CheckState, str]:
    torch = facts.get("torch", {})
    gpus = torch.get("gpus") or []
    if gpus:
        return CheckState.OK, "; ".join(f"{g['name']}, {g['memory'] / GIB:.0f} GB" for g in gpus)
    return CheckState.WARNING, _("none: runs on the processor, which takes longer")


def _memory(facts: Mapping[str, Any]) -> tuple[CheckState, str]:
    memory = facts.get("memory", {})
    total, available = memory.get("total"), memory.get("available")
    if not total:
        return CheckState.UNKNOWN, _("not known")
    text = _("{n:.0f} GB").format(n=total / GIB)
    if available is not None:
        text = _("{free:.1f} of {n:.0f} GB free").format(free=available / GIB, n=total / GIB)
    return (CheckState.OK if (available or total) >= 2 * GIB else CheckState.WARNING), text


def _disk(facts: Mapping[str, Any]) -> tuple[CheckState, str]:
    free = facts.get("disk")
    if not isinstance(free, (int, float)):
        return CheckState.UNKNOWN, _("not known")
    return (CheckState.OK if free >= GIB else CheckState.WARNING), _("{n:.0f} GB free").format(
        n=free / GIB
    )


def _model(title: str, facts: Mapping[str, Any], settings: BackendSettings) -> Check:
    backend = facts.get("backend", {})
    if not backend:
        return Check("model", title, CheckState.UNKNOWN, _("needs the backend"))
    if settings.model == "bundled" and not backend.get("bundled"):
        return Check(
            "model",
            title,
            CheckState.MISSING,
            _("the bundled model is not in this backend"),
            "backend" if not settings.remote() else "",
            _("Repair"),
        )
    return Check(
        "model", title, CheckState.OK, settings.model + " · " + _("verified by hash when loaded")
    )


def offer_text(missing: Sequence[Check], own_python: bool) -> str:
    """What the first-run question says: what is missing, how big it is, what stays as it is."""
    sizes = {
        "torch": _("PyTorch (0.2 to 3 GB)"),
        "backend": _("the HideSeek backend (about 150 MB)"),
    }
    parts = [sizes[c.action] for c in missing if c.action in sizes]
    where = _("Slicer's own Python") if own_python else _("the chosen Python")
    text = _("HideSeek needs {parts} in {where}. Install now? It takes some minutes.").format(
        parts=_(" and ").join(dict.fromkeys(parts)), where=where
    )
    if own_python:
        text += " " + _("Slicer's numpy, scipy, SimpleITK and vtk stay as they are.")
    return text


# --- installing -----------------------------------------------------------------------------


def write_constraints(folder: Path) -> Path:
    """Write a pip constraints file that holds Slicer's own packages where they are."""
    lines = []
    for name in PINNED:
        version = installed_version(name)
        if version:
            lines.append(f"{name}=={version}")
    path = folder / "hideseek-constraints.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def installed_version(name: str) -> str | None:
    """Return the version of a package in this Python, from metadata or from the module itself."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        module = __import__(name)
    except ImportError:
        return None
    if name == "vtk":
        return str(module.vtkVersion.GetVTKVersion())
    version = getattr(module, "__version__", None)
    return str(version) if version else None


def copy_for_build(copy: Path) -> Path:
    """Copy the backend's sources to a temporary folder and return it.

    pip writes beside the sources while it builds, and an installed extension may be read-only.
    """
    target = Path(tempfile.mkdtemp(prefix="hideseek-backend-")) / "hideseek_backend"
    shutil.copytree(
        copy, target, ignore=shutil.ignore_patterns("__pycache__", "tests", "build", "*.egg-info")
    )
    return target


def backend_steps(facts: Mapping[str, Any], source: Path, *, offline: bool) -> list[list[str]]:
    """Return the pip arguments that install the backend: first what it lacks, then itself.

    The backend itself never needs a network: no dependencies, no isolated build.
    """
    steps = []
    missing = missing_requirements(facts)
    if missing:
        wheels = source / "wheels"
        where = ["--no-index"] if offline else []
        if wheels.is_dir():
            where += ["--find-links", str(wheels)]
        steps.append([*where, *missing])
    steps.append(
        ["--no-deps", "--no-index", "--no-build-isolation", "--force-reinstall", str(source)]
    )
    return steps


def torch_arguments(install: Any) -> dict[str, Any]:
    """Return the keyword arguments that this version of installTorch takes; it changed often."""
    known = inspect.signature(install).parameters
    wanted = {
        "askConfirmation": True,
        "confirm": True,
        "torchVersionRequirement": TORCH_REQUIREMENT,
    }
    return {name: value for name, value in wanted.items() if name in known}


def pip_arguments(install: Any, constraints: Path) -> tuple[list[str], dict[str, Any]]:
    """Return extra pip words and keyword arguments for this Slicer's pip_install.

    Slicer 5.11 and newer take the constraints file and run without blocking; older ones get it
    as words on the command line and block.
    """
    known = inspect.signature(install).parameters
    keywords: dict[str, Any] = {}
    words: list[str] = []
    if "constraints" in known:
        keywords["constraints"] = str(constraints)
    else:
        words = ["--constraint", str(constraints)]
    if {"blocking", "completedCallback"} <= set(known):
        keywords["blocking"] = False
        if "requester" in known:
            keywords["requester"] = "HideSeek"
    return words, keywords


def find_pip_install() -> Any:
    """Return Slicer's way to run pip: `slicer.packaging` where it exists, else `slicer.util`."""
    try:
        from slicer.packaging import pip_install
    except ImportError:
        from slicer.util import pip_install
    return pip_install


def model_command(path: str) -> list[str]:
    """Return the backend's arguments that install a model from a folder or file, checking it."""
    return ["-m", "hideseek_backend.cli", "models", "add", path]

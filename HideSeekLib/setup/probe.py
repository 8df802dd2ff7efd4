"""Looks at the Python it runs in and prints what it found as one line of JSON.

Sent to the chosen Python on its standard input, so it needs nothing but the standard library and
works on another computer too. Installs nothing, writes nothing.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import sys

MARK = "hideseek-probe:"


def version(name):
    """Return the installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def memory():
    """Return (total, available) bytes of memory, None where unknown."""
    if os.path.exists("/proc/meminfo"):
        with open("/proc/meminfo", encoding="ascii") as file:
            rows = dict(line.split(":", 1) for line in file if ":" in line)
        amount = {key: int(value.split()[0]) * 1024 for key, value in rows.items() if value.split()}
        return amount.get("MemTotal"), amount.get("MemAvailable")
    if os.name == "nt":
        import ctypes

        class Status(ctypes.Structure):
            _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
                (name, ctypes.c_ulonglong)
                for name in ("total", "available", "a", "b", "c", "d", "e")
            ]

        status = Status()
        status.length = ctypes.sizeof(Status)
        if ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
            return status.total, status.available
        return None, None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    except (ValueError, OSError):
        return None, None


def torch_facts():
    """Return what torch says about processors, or why it cannot be imported."""
    if importlib.util.find_spec("torch") is None:
        return {}
    try:
        import torch
    except Exception as error:  # a broken library fails in many ways, and each is worth telling
        return {"error": f"{type(error).__name__}: {error}"}
    gpus = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            gpus.append({"name": properties.name, "memory": properties.total_memory})
    return {"version": torch.__version__, "gpus": gpus}


def backend_facts():
    """Return version, place and models of the backend, or why it cannot be used."""
    spec = importlib.util.find_spec("hideseek_backend")
    if spec is None or spec.origin is None:
        # Without an origin it is only a folder of that name, such as the extension's own copy.
        return {}
    facts = {"version": version("hideseek-backend"), "models": []}
    try:
        import hideseek_backend

        places = list(hideseek_backend.__path__)
        facts["place"] = places[0] if places else None
        bundled = os.path.join(places[0], "models", "bundled") if places else ""
        facts["bundled"] = bool(bundled) and any(
            "spec.json" in files for _, _, files in os.walk(bundled)
        )
    except Exception as error:  # the same: whatever it is, the page must show it
        facts["error"] = f"{type(error).__name__}: {error}"
    return facts


def main(names):
    """Print the facts; `names` are the distributions to look for."""
    total, available = memory()
    facts = {
        "python": platform.python_version(),
        "platform": f"{sys.platform}/{platform.machine()}",
        "executable": sys.executable,
        "packages": {name: version(name) for name in names},
        "importable": {
            name: importlib.util.find_spec(name) is not None
            for name in ("torch", "numpy", "scipy", "SimpleITK")
        },
        "torch": torch_facts(),
        "backend": backend_facts(),
        "memory": {"total": total, "available": available},
        "disk": shutil.disk_usage(os.path.expanduser("~")).free,
        "pip": importlib.util.find_spec("pip") is not None,
    }
    sys.stdout.write(MARK + json.dumps(facts) + "\n")


main(json.loads(NAMES))  # noqa: F821 (written above this line by the sender)

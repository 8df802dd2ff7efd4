"""The full data of one Slicer version, in the form of the inventory.

Reads `python-VERSION.json`, `qt-VERSION.json` and `mrml-VERSION.json` (a version without the latter
two has no Qt and MRML). Signatures lose their types: what counts is how many arguments a call
takes, under which names, and the class that it returns.
"""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path
from typing import Any

VTK_EVERY = ("GetClassName", "IsA", "SafeDownCast", "NewInstance", "Register", "UnRegister")


def plain_class(text: str) -> str:
    """Return the class in a C++ type: `const QFont&` -> QFont."""
    text = re.sub(r"\bconst\b|[&*\s]", "", text)
    return re.sub(r"^vtkSmartPointer<(\w+)>$", r"\1", text)


def split_parameters(text: str) -> list[str]:
    """Return the parameters between the outer brackets of a C++ signature."""
    parts, depth, current = [], 0, ""
    for letter in text:
        depth += (letter in "<({[") - (letter in ">)}]")
        if letter == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [part.strip() for part in (*parts, current) if part.strip() not in ("", "void")]


def from_cpp(text: str, classes: set[str]) -> str:
    """Return `(a, b=..., /) -> QWidget` for a C++ signature with types."""
    inner, _, returns = text.rpartition("->") if "->" in text else (text, "", "")
    names: list[str] = []
    for number, parameter in enumerate(split_parameters(inner.strip()[1:-1])):
        declared, given, _default = parameter.partition("=")
        words = re.findall(r"[A-Za-z_]\w*", re.sub(r"\[.*?\]", "", declared))
        name = words[-1] if len(words) > 1 else f"a{number}"
        if keyword.iskeyword(name) or name in {n.partition("=")[0] for n in names}:
            name = f"a{number}"
        names.append(name + ("=..." if given else ""))
    first = next((n for n, name in enumerate(names) if "=" in name), len(names))
    names = [n if i < first or "=" in n else n + "=..." for i, n in enumerate(names)]
    returned = plain_class(returns)
    shown = f" -> {returned}" if returned in classes else ""
    return f"({', '.join([*names, '/'] if names else [])}){shown}"


def from_vtk(text: str, classes: set[str]) -> str:
    """Return the inventory's form of VTK's own `Name(self, i:int) -> float`; cut ones fit all."""
    inner, arrow, returns = text.partition("(")[2].partition(") -> ")
    if not arrow or inner.count("(") != inner.count(")") or inner.count("[") != inner.count("]"):
        return "(*arguments)"
    names = [p.partition(":") for p in split_parameters(inner) if p != "self"]
    shown = [n + ("=..." if "=" in kind else "") for n, _colon, kind in names]
    arrow = f" -> {returns}" if returns in classes else ""
    return f"({', '.join([*shown, '/'] if shown else [])}){arrow}"


def from_python(facts: dict[str, Any]) -> str:
    """Return a signature of the full data as Python writes it."""
    shown, starred = [], False
    for parameter in facts["params"]:
        kind, name = parameter["kind"], parameter["name"]
        if kind in ("*", "**"):
            starred = starred or kind == "*"
            shown.append(kind + name)
            continue
        if kind == "keyword" and not starred:
            starred = True
            shown.append("*")
        shown.append(name + ("=..." if "default" in parameter else ""))
    return f"({', '.join(shown)})"


def several(texts: list[str], classes: set[str]) -> list[str]:
    """Return the overloads without those that differ in types alone."""
    return list(
        dict.fromkeys(
            from_cpp(text, classes) if text.startswith("(") else from_vtk(text, classes)
            for text in texts
        )
    )


def qt_class(facts: dict[str, Any], classes: set[str]) -> dict[str, Any]:
    """Return a Qt, CTK or qMRML class in the inventory's form."""
    warnings: dict[str, str] = {}
    for number in ("5", "6"):
        for names in facts.get("only" + number, {}).values():
            for name in names:
                warnings[name.rpartition(".")[2]] = f"only in Qt {number}"
    for name, value in facts.get("unreturnable", {}).items():
        warnings[name] = f"PythonQt cannot return a {value}"
    properties = {
        name: f"{plain_class(words[0])} {words[1]}"
        for name, words in facts.get("properties", {}).items()
    }
    properties |= {
        name: f"{plain_class(kind)} rw" for name, kind in facts.get("fields", {}).items()
    }
    constants = [n for keys in facts.get("enums", {}).values() for n in keys]
    methods = dict(facts.get("slots", {}))
    for name, texts in facts.get("methods", {}).items():
        methods[name] = [*methods.get(name, []), *texts]
    return {
        "from": facts["module"],
        "bases": [b for b in (facts["base"], *facts.get("other_bases", ())) if b],
        "new": several(facts.get("constructors", []), classes),
        "properties": dict(sorted(properties.items())),
        "signals": sorted(facts.get("signals", [])),
        "methods": {n: several(texts, classes) for n, texts in sorted(methods.items())},
        "static": {
            n: several(texts, classes) for n, texts in sorted(facts.get("static", {}).items())
        },
        "constants": sorted({*constants, *facts.get("enums", {})} - {""}),
        "warnings": dict(sorted(warnings.items())),
    }


def vtk_class(name: str, facts: dict[str, Any], classes: set[str]) -> dict[str, Any]:
    """Return an MRML or VTK class in the inventory's form."""
    hidden = set(facts.get("not_in_python", ())) - {"New"}
    methods = {n: texts for n, texts in facts["methods"].items() if n not in hidden and n != "New"}
    constants = set(facts.get("events", {})) | set(facts.get("enums", {}))
    for keys in facts.get("enums", {}).values():
        constants |= set(keys) if isinstance(keys, dict) else set()
    static = set(facts.get("static", ()))
    return {
        "from": "vtk" if "header" not in facts else "slicer",
        "bases": facts["bases"],
        "methods": {
            n: several(texts, classes) for n, texts in sorted(methods.items()) if n not in static
        },
        "static": {
            n: several(texts, classes) for n, texts in sorted(methods.items()) if n in static
        },
        "constants": sorted((constants | set(facts.get("only_in_python", ()))) - {""}),
    }


def python_class(module: str, facts: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return a Python class in the inventory's form."""
    bases = []
    for base in facts["bases"]:
        if base in ("object", "abc.ABC"):
            continue
        local = f"{module}.{base}" if base in known[module]["classes"] else base
        bases.append(known[module].get("imported", {}).get(local, local))
    methods = facts["methods"]
    return {
        "from": module,
        "bases": bases,
        "methods": {n: [from_python(f)] for n, f in methods.items() if not f.get("kind")},
        "static": {n: [from_python(f)] for n, f in methods.items() if f.get("kind")},
        "constants": sorted(facts.get("attributes", ())),
    }


def full_document(folder: Path, version: str) -> dict[str, Any]:
    """Return everything that is known about a version in the inventory's form."""

    def read(name: str) -> dict[str, Any]:
        path = folder / f"{name}-{version}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    python, qt, mrml = read("python"), read("qt"), read("mrml")
    vtk = {**mrml.get("vtk", {}), **mrml.get("classes", {})}
    names = {*qt.get("classes", {}), *vtk}
    classes = {n: qt_class(f, names) for n, f in qt.get("classes", {}).items()}
    classes |= {n: vtk_class(n, f, names) for n, f in vtk.items()}
    known = python["modules"]
    modules: dict[str, Any] = {}
    for module, facts in known.items():
        modules[module] = {
            "functions": {n: from_python(f) for n, f in facts["functions"].items()},
            "imported": facts.get("imported", {}),
            "names": sorted(facts.get("names", ())),
            "open": bool(facts.get("star")) or module == "slicer",
        }
        for name, found in facts["classes"].items():
            classes[f"{module}.{name}"] = python_class(module, found, known)
    for name, found in python["bases"].items():
        classes[name] = {
            "from": "abc",
            "bases": [],
            "methods": {n: [from_python(f)] for n, f in found["methods"].items()},
            "static": {},
            "constants": [],
        }
    wrapper = python["parameterNodeWrapper"]
    return {
        "slicer": version,
        "commit": python["commit"],
        "has_qt": bool(qt),
        "absent": python["absent"],
        "modules": modules,
        "parameterNodeWrapper": {
            "methods": {n: [from_python(f)] for n, f in wrapper["class_gets"]["methods"].items()},
            "reads_as": {
                kind.rpartition(".")[2]: wrapper["observed"][name]
                for kind, name in wrapper["reads_as"].items()
            },
            "connectors": wrapper["connectors"],
            "no_serializer_for": wrapper["no_serializer_for"],
        },
        "names": {
            "qt": qt.get("other_qt_names", []),
            "ctk": [],
            "slicer": [*qt.get("slicer_names", []), *mrml.get("other_slicer_classes", ())],
            "vtk": mrml.get("vtk_names", []),
        },
        "words": [],
        "signals": [],
        "every": {**qt.get("every", {"object": [], "qobject": []}), "vtk": list(VTK_EVERY)},
        "classes": classes,
    }

"""The inventory of one Slicer version: which names, signals and signatures its Python shows.

`slicer-5.10.json`, `slicer-5.12.json` and `slicer-main.json` hold the classes and modules that this
extension touches, each class and module whole. `make_inventory.py` writes them; README.md has the
format. What is absent from a class in here is absent in Slicer. What is absent as a class or module
may only be new to our code: then the text of the finding says so.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
HOW_TO_ADD = (
    "If Slicer has it, our code is only the first to use it: run\n"
    "  python Testing/api/make_inventory.py FOLDER_OF_THE_FULL_DATA\n"
    "(it says what it could not find), or write it into Testing/api/slicer-*.json by hand."
)
NOT_IN_INVENTORY = "is not in the inventory"

BINDINGS = ("qt", "ctk", "slicer", "vtk")
"""Modules whose classes are wrapped C++: they take no keyword arguments."""


@dataclass(frozen=True)
class Member:
    """One name of a class.

    kind: property, signal, method, static, constant (enum, event, attribute) or every (what each
    wrapped object has). overloads: signatures of a method. type: class of a property's value, ""
    for plain values. warning: why it must not be used although it exists.
    """

    kind: str
    owner: str
    overloads: tuple[str, ...] = ()
    type: str = ""
    writable: bool = False
    warning: str = ""


@dataclass(frozen=True)
class Found:
    """What a dotted name stands for.

    kind: module, function, class, member, name, missing or unknown. name: the class's name, or for
    missing the text of the finding.
    """

    kind: str
    name: str = ""
    signature: str = ""
    member: Member | None = None


UNKNOWN = Found("unknown")


@functools.cache
def parse(signature: str) -> tuple[inspect.Signature, str]:
    """Return a signature written as `(a, b=1, *, c=None) -> QWidget`, and the class it returns."""
    function = ast.parse(f"def f{signature}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    arguments, kinds = function.args, inspect.Parameter
    positional = [*arguments.posonlyargs, *arguments.args]
    optional = len(positional) - len(arguments.defaults)
    parameters = [
        kinds(
            argument.arg,
            kinds.POSITIONAL_ONLY
            if index < len(arguments.posonlyargs)
            else kinds.POSITIONAL_OR_KEYWORD,
            default=... if index >= optional else kinds.empty,
        )
        for index, argument in enumerate(positional)
    ]
    if arguments.vararg:
        parameters.append(kinds(arguments.vararg.arg, kinds.VAR_POSITIONAL))
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        given = kinds.empty if default is None else ...
        parameters.append(kinds(argument.arg, kinds.KEYWORD_ONLY, default=given))
    if arguments.kwarg:
        parameters.append(kinds(arguments.kwarg.arg, kinds.VAR_KEYWORD))
    returns = ast.unparse(function.returns) if function.returns is not None else ""
    return inspect.Signature(parameters), returns


def why_not(
    overloads: tuple[str, ...], count: int, keywords: tuple[str, ...], *, partly: bool = False
) -> str:
    """Return why a call fits no overload, or "".

    count: positional arguments. partly: the call has starred arguments, so more may come.
    """
    reason = ""
    for text in overloads:
        signature, _returns = parse(text)
        bind = signature.bind_partial if partly else signature.bind
        try:
            bind(*range(count), **dict.fromkeys(keywords))
        except TypeError as error:
            reason = f"{error}, it takes {text}"
        else:
            return ""
    return reason


class Inventory:
    """One version's file, with look-ups along base classes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.version: str = document["slicer"]
        self.has_qt: bool = document["has_qt"]
        self.modules: dict[str, Any] = document["modules"]
        self.absent: frozenset[str] = frozenset(document["absent"])
        self.wrapper: dict[str, Any] = document["parameterNodeWrapper"]
        self._classes: dict[str, Any] = document["classes"]
        self._names = {module: set(names) for module, names in document["names"].items()}
        self._words = set(document["words"])
        self._signals = set(document["signals"])
        self._every: dict[str, list[str]] = document["every"]
        for facts in self._classes.values():
            self._signals |= set(facts.get("signals", ()))
            for group in ("methods", "static", "constants"):
                self._words |= set(facts.get(group, ()))

    @classmethod
    def load(cls, version: str) -> Inventory:
        """Read the file of a version."""
        return cls(json.loads((FOLDER / f"slicer-{version}.json").read_text(encoding="utf-8")))

    # --- classes -----------------------------------------------------------------------------

    def facts(self, name: str) -> dict[str, Any] | None:
        """Return what is stored about a class, or None."""
        return self._classes.get(name)

    def is_class(self, name: str) -> bool:
        """Return whether a class is in the inventory."""
        return name in self._classes

    def is_binding(self, name: str) -> bool:
        """Return whether a class is wrapped C++ rather than Python."""
        return (self.facts(name) or {}).get("from") in BINDINGS

    def lineage(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield (name, facts) of a class and its bases that are known, nearest first."""
        waiting, seen = [name], set()
        while waiting:
            name = waiting.pop(0)
            facts = self.facts(name)
            if facts is not None and name not in seen:
                seen.add(name)
                yield name, facts
                waiting += facts["bases"]

    def complete(self, name: str) -> bool:
        """Return whether a class and all its bases are known, so that absence means something."""
        facts = self.facts(name)
        return facts is not None and all(self.complete(base) for base in facts["bases"])

    def is_a(self, name: str, base: str) -> bool:
        """Return whether a class is or derives from another."""
        return any(found == base for found, _facts in self.lineage(name))

    def member(self, name: str, member: str) -> Member | None:
        """Return what a class has under a name, or None."""
        qobject = False
        for owner, facts in self.lineage(name):
            qobject = qobject or owner == "QObject"
            warning = facts.get("warnings", {}).get(member, "")
            if member in facts.get("properties", ()):
                kind, access = facts["properties"][member].rsplit(" ", 1)
                return Member("property", owner, (), kind, "w" in access, warning)
            for kind in ("methods", "static"):
                if member in facts.get(kind, ()):
                    overloads = tuple(facts[kind][member])
                    return Member(kind.removesuffix("s"), owner, overloads, warning=warning)
            if any(signal.partition("(")[0] == member for signal in facts.get("signals", ())):
                return Member("signal", owner)
            if member in facts.get("constants", ()):
                return Member("constant", owner, warning=warning)
        if self.is_binding(name):
            group = "vtk" if self.is_a(name, "vtkObjectBase") else "object"
            if member in self._every[group] or (qobject and member in self._every["qobject"]):
                return Member("every", name)
        return None

    def has_signal(self, name: str, signature: str) -> bool:
        """Return whether a class has a signal of this signature; name "" asks for any class."""
        if not name:
            return signature in self._signals
        return any(signature in facts.get("signals", ()) for _n, facts in self.lineage(name))

    def signal_warning(self, name: str, signature: str) -> str:
        """Return why a signal must not be used although it exists."""
        for _owner, facts in self.lineage(name):
            if signature in facts.get("signals", ()):
                return str(facts.get("warnings", {}).get(signature, ""))
        return ""

    def constructors(self, name: str) -> tuple[str, ...]:
        """Return the signatures with which a class can be made; empty: unknown."""
        if self.is_binding(name):
            return tuple((self.facts(name) or {}).get("new", ()))
        member = self.member(name, "__init__")
        return member.overloads if member is not None else ()

    def has_word(self, word: str) -> bool:
        """Return whether any class has a method or constant of this name."""
        return word in self._words

    # --- dotted names ------------------------------------------------------------------------

    def find(self, dotted: str) -> Found:
        """Return what a dotted name, with imports resolved, stands for."""
        parts = dotted.split(".")
        for cut in range(len(parts), 0, -1):
            module = ".".join(parts[:cut])
            if module in self.absent:
                return Found("missing", f"the module {module} does not exist")
            if module in self.modules:
                found = self._in_module(module, parts[cut:])
                if found.kind != "unknown":
                    return found
        if parts[0] in BINDINGS and len(parts) > 1:
            return self._in_binding(parts[0], parts[1:])
        return UNKNOWN

    def _in_module(self, module: str, rest: list[str]) -> Found:
        facts = self.modules[module]
        if not rest:
            return Found("module", module)
        name, more = rest[0], rest[1:]
        if name in facts["functions"]:
            return Found("function", f"{module}.{name}", facts["functions"][name])
        dotted = f"{module}.{name}"
        if self.facts(dotted) is not None:
            return self._in_class(dotted, more)
        if name in facts["imported"]:
            return self.find(".".join([facts["imported"][name], *more]))
        if name in facts["names"] or facts["open"]:
            return Found("name") if not facts["open"] else UNKNOWN
        return Found("missing", f"{module} has no {name}")

    def _in_binding(self, module: str, parts: list[str]) -> Found:
        name, more = parts[0], parts[1:]
        facts = self.facts(name)
        if facts is not None and (facts["from"] == module or module == "slicer"):
            return self._in_class(name, more)
        if name in self._names.get(module, ()):
            return Found("name")
        if module == "vtk" and not name.startswith("vtk"):
            return UNKNOWN  # constants and packages below it
        return Found("missing", f"{module}.{name} {NOT_IN_INVENTORY}")

    def _in_class(self, name: str, more: list[str]) -> Found:
        if not more:
            return Found("class", name)
        member = self.member(name, more[0])
        if member is not None:
            return Found("member", name, member=member) if len(more) == 1 else UNKNOWN
        if self.complete(name):
            return Found("missing", f"{name} has no {more[0]}")
        return UNKNOWN


VERSIONS = ("5.10", "5.12", "main")
"""Slicer versions with an inventory; the first is the oldest that the extension supports."""


@functools.cache
def inventories() -> tuple[Inventory, ...]:
    """Return the inventory of every version, oldest first."""
    return tuple(Inventory.load(version) for version in VERSIONS)

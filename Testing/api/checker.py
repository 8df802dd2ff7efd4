"""Holds sources against the inventory of one Slicer version.

Reported: names that a module or class does not have, calls that fit no signature, signals that do
not exist, assignments to what is no writable property, calls of properties, values that PythonQt
cannot return, names of one Qt only, and modules that this version lacks. On objects of unknown
class: capitalised names and signals that no class has. Not reported: what `hasattr` or a `try`
with `except ImportError` or `AttributeError` guards. Not understood: values that go through
containers, callbacks and `getattr`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence

from api.inference import Classes
from api.inventory import NOT_IN_INVENTORY, Found, Inventory, why_not
from api.sources import Source, dotted

OURS = ("HideSeekLib", "HideSeek", "hideseek_backend")
OTHERS = ("numpy", "vtk", "vtkmodules", "qt", "ctk", "slicer")
CAPITALISED = re.compile(r"[A-Z][a-z0-9]*[A-Z]?[a-z][A-Za-z0-9]*")


def normalised(signature: str) -> str:
    """Return a signal's signature as Qt compares it: no spaces, const or &."""
    plain = re.sub(r"\bconst\b|&", "", signature)
    return re.sub(r"\s*([(),*])\s*", r"\1", plain).strip()


class Checker:
    """Checks sources; `findings` has one line a fault, `bound` and `looked_up` count what held."""

    def __init__(
        self,
        inventory: Inventory,
        sources: Sequence[Source],
        widgets: dict[str, str] | None = None,
    ) -> None:
        self.inventory = inventory
        self._sources = sources
        self.classes = Classes(inventory, sources, widgets or {})
        self.findings: set[str] = set()
        self.bound = 0
        self.looked_up = 0

    def check(self) -> Checker:
        """Check every source."""
        for source in self._sources:
            for node in source.nodes:
                if isinstance(node, ast.Call):
                    self._call(source, node)
                elif isinstance(node, ast.Attribute):
                    self._attribute(source, node)
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    for item in node.names:
                        self._import(source, node, f"{node.module}.{item.name}")
                elif isinstance(node, ast.Import):
                    for item in node.names:
                        self._import(source, node, item.name)
        return self

    def _report(self, source: Source, node: ast.AST, name: str, text: str) -> None:
        if not source.expects_absence(node, name):
            line = getattr(node, "lineno", 0)
            self.findings.add(f"{source.path}:{line}: {text}, Slicer {self.inventory.version}")

    # --- names -------------------------------------------------------------------------------

    def _import(self, source: Source, node: ast.AST, name: str) -> None:
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top in OURS:
            return
        self.looked_up += 1
        found = self.inventory.find(name)
        if found.kind == "missing":
            if self._judges(found):
                self._report(source, node, name.rpartition(".")[2], found.name)
        elif found.kind == "unknown" and top not in OTHERS:
            self._report(source, node, top, f"the module {top} {NOT_IN_INVENTORY}")

    def _judges(self, found: Found) -> bool:
        """Return whether this version's inventory can say that a name is missing."""
        return self.inventory.has_qt or NOT_IN_INVENTORY not in found.name

    def _attribute(self, source: Source, node: ast.Attribute) -> None:
        name = source.resolve(node)
        found = self.inventory.find(name) if name else Found("unknown")
        if found.kind == "missing" and self._judges(found):
            self.looked_up += 1
            self._report(source, node, node.attr, found.name)
            return
        if found.kind == "member" and found.member is not None:
            self.looked_up += 1
            if found.member.warning:
                self._report(source, node, node.attr, f"{name}: {found.member.warning}")
            return
        if found.kind != "unknown":
            self.looked_up += 1
            return
        owner = self.classes.of(source, node.value)
        if owner and self.inventory.is_binding(owner):
            self._member(source, node, owner)
        elif not owner and self.inventory.has_qt:
            self._word(source, node)

    def _member(self, source: Source, node: ast.Attribute, owner: str) -> None:
        name, title = node.attr, f"{owner}.{node.attr}"
        self.looked_up += 1
        member = self.inventory.member(owner, name)
        if member is None:
            if self.inventory.complete(owner):
                self._report(source, node, name, f"{owner} has no {name}")
            return
        parent = source.parent(node)
        called = isinstance(parent, ast.Call) and parent.func is node
        if isinstance(node.ctx, ast.Store):
            if member.kind != "property" and name not in ("name", "objectName"):
                self._report(source, node, name, f"{title} is no property, it cannot be set")
            elif member.kind == "property" and not member.writable:
                self._report(source, node, name, f"{title} is read-only")
        elif called and member.kind == "property":
            self._report(source, node, name, f"{title} is a property, it cannot be called")
        if member.warning:
            self._report(source, node, name, f"{title}: {member.warning}")

    def _word(self, source: Source, node: ast.Attribute) -> None:
        """A capitalised name on an object of unknown class: some class must have it."""
        if not CAPITALISED.fullmatch(node.attr) or node.attr in self.classes.own:
            return
        if source.resolve(node):  # a name of an imported module of ours or the standard library
            return
        self.looked_up += 1
        if not self.inventory.has_word(node.attr):
            text = f"no MRML or VTK class of the inventory has {node.attr}"
            self._report(source, node, node.attr, text)

    # --- calls -------------------------------------------------------------------------------

    def _call(self, source: Source, call: ast.Call) -> None:
        func = call.func
        name = source.resolve(func)
        found = self.inventory.find(name) if name else Found("unknown")
        made = self.classes.made_by(source, call)
        if found.kind == "function":
            self._bind(source, call, found.name, (found.signature,))
        elif found.kind == "member" and found.member is not None:
            unbound = found.member.kind == "method"
            self._bind(source, call, name, found.member.overloads, skip=1 if unbound else 0)
        elif made in self.classes.wrappers:
            self._bind(source, call, made, tuple(self.inventory.wrapper["methods"]["__init__"]))
        elif made:
            self._bind(source, call, made, self.inventory.constructors(made))
        elif isinstance(func, ast.Attribute) and found.kind == "unknown":
            self._method(source, call, func)
        if isinstance(func, ast.Attribute) and func.attr in ("connect", "disconnect"):
            self._signal(source, call, func)

    def _method(self, source: Source, call: ast.Call, func: ast.Attribute) -> None:
        owner = self.classes.of(source, func.value)
        if owner in self.classes.wrappers:
            self._wrapper_method(source, call, func, owner)
        elif owner:
            member = self.inventory.member(owner, func.attr)
            if member is not None:
                self._bind(source, call, f"{owner}.{func.attr}", member.overloads)
            elif self.inventory.complete(owner) and not self.inventory.is_binding(owner):
                self._report(source, call, func.attr, f"{owner} has no {func.attr}")
        else:
            self._inherited(source, call, func)

    def _wrapper_method(
        self, source: Source, call: ast.Call, func: ast.Attribute, owner: str
    ) -> None:
        overloads = self.inventory.wrapper["methods"].get(func.attr)
        if overloads is not None:
            self._bind(source, call, f"{owner}.{func.attr}", tuple(overloads))
        elif func.attr not in _methods(self.classes.own[owner]):
            text = f"a parameterNodeWrapper has no {func.attr}"
            self._report(source, call, func.attr, text)

    def _inherited(self, source: Source, call: ast.Call, func: ast.Attribute) -> None:
        """`self.method()` and `super().method()` of a class of ours with bases in Slicer."""
        above = isinstance(func.value, ast.Call) and dotted(func.value.func) == "super"
        around = source.class_around(call)
        if around is None or not (above or dotted(func.value) == "self"):
            return
        if not above and func.attr in _methods(around):
            return
        for base in around.bases:
            found = self.inventory.find(source.resolve(base) or "?")
            member = self.inventory.member(found.name, func.attr) if found.name else None
            if member is not None:
                self._bind(source, call, f"{found.name}.{func.attr}", member.overloads)
                return

    def _bind(
        self, source: Source, call: ast.Call, name: str, overloads: tuple[str, ...], skip: int = 0
    ) -> None:
        if not overloads:
            return
        self.bound += 1
        starred = any(isinstance(a, ast.Starred) for a in call.args)
        partly = starred or any(k.arg is None for k in call.keywords)
        count = sum(not isinstance(a, ast.Starred) for a in call.args) - skip
        keywords = tuple(k.arg for k in call.keywords if k.arg)
        reason = why_not(overloads, count, keywords, partly=partly)
        if reason:
            self._report(source, call, name.rpartition(".")[2], f"{name}: {reason}")

    def _signal(self, source: Source, call: ast.Call, func: ast.Attribute) -> None:
        first = call.args[0] if call.args else None
        if not isinstance(first, ast.Constant) or "(" not in str(first.value):
            return
        if not self.inventory.has_qt:
            return
        signature = normalised(str(first.value))
        owner = self.classes.of(source, func.value)
        known = owner if owner and self.inventory.complete(owner) else ""
        self.looked_up += 1
        if not self.inventory.has_signal(known, signature):
            text = f"{known or 'no class of the inventory'} has no signal {signature}"
            self._report(source, call, signature, text.replace("has no", "has the", not known))
        elif known and (warning := self.inventory.signal_warning(known, signature)):
            self._report(source, call, signature, f"{known}: {signature} {warning}")


def _methods(node: ast.ClassDef) -> set[str]:
    return {n.name for n in ast.walk(node) if isinstance(n, ast.FunctionDef)}

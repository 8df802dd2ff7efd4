"""Which Slicer class an expression of our sources has, where the sources say so.

Known are widgets of the .ui files, constructors, properties, methods with a known return class,
members of a class decorated with `parameterNodeWrapper`, and what is only ever assigned or passed
such things: variables, attributes (by name, over all sources), parameters of our functions and
what those return. Everything else has the class "", and no finding follows from it.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Sequence

from api.inventory import Inventory, parse
from api.sources import Function, Source, dotted

ROOTS = {"slicer.app": "qSlicerApplication", "slicer.mrmlScene": "vtkMRMLScene"}
MAKES_NODE = ("AddNewNodeByClass", "CreateNodeByClass", "GetSingletonNode")
GENERAL = ("vtkMRMLNode", "vtkObject", "vtkObjectBase", "QObject", "QWidget")
"""Declared as what a method returns; what Python gets is the object's own class."""
ROUNDS = 4  # what one round learns, the next builds on


class Classes:
    """Classes of the expressions of some sources."""

    def __init__(
        self, inventory: Inventory, sources: Sequence[Source], widgets: dict[str, str]
    ) -> None:
        self.inventory = inventory
        self._sources = sources
        self._widgets = widgets
        self.wrappers: set[str] = set()  # our classes made by parameterNodeWrapper
        self._members: dict[str, str] = {}  # their members
        self.own: dict[str, ast.ClassDef] = {}  # our classes
        self._functions: dict[str, list[tuple[Source, ast.FunctionDef]]] = defaultdict(list)
        for source in sources:
            self._collect(source)
        self._known: dict[tuple[str, ...], set[str]] = {}
        self._answers: dict[ast.AST, str] = {}
        for _round in range(ROUNDS):
            learned: dict[tuple[str, ...], set[str]] = defaultdict(set)
            for source in sources:
                self._learn(source, learned)
            self._known = dict(learned)
            self._answers = {}

    def _collect(self, source: Source) -> None:
        for node in source.nodes:
            if isinstance(node, ast.FunctionDef):
                self._functions[node.name].append((source, node))
            elif isinstance(node, ast.ClassDef):
                self.own[node.name] = node
                marks = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
                if any(source.resolve(m).endswith(".parameterNodeWrapper") for m in marks):
                    self.wrappers.add(node.name)
                    for line in node.body:
                        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                            self._members[line.target.id] = self._annotated(line.annotation)

    def _annotated(self, annotation: ast.expr) -> str:
        """Return the class that a member of a parameter node reads as."""
        if isinstance(annotation, ast.Subscript):
            if dotted(annotation.value).rpartition(".")[2] == "Annotated":
                inner = annotation.slice
                return self._annotated(inner.elts[0] if isinstance(inner, ast.Tuple) else inner)
            annotation = annotation.value
        name = dotted(annotation).rpartition(".")[2]
        return str(self.inventory.wrapper["reads_as"].get(name, self._class(name)))

    def _class(self, name: str) -> str:
        return name if self.inventory.is_class(name) else ""

    # --- learning ----------------------------------------------------------------------------

    def _learn(self, source: Source, learned: dict[tuple[str, ...], set[str]]) -> None:
        for node in source.nodes:
            if isinstance(node, ast.AnnAssign) and isinstance(source.parent(node), ast.ClassDef):
                # A field of ours: its annotation says more than whoever fills another of its name.
                learned["attribute", dotted(node.target)].add("")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                if isinstance(node.value, ast.Constant) and node.value.value is None:
                    continue
                kind = self.of(source, node.value)
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    self._note(source, target, kind, learned)
            elif isinstance(node, (ast.For, ast.comprehension)):
                self._note(source, node.target, "", learned)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                self._note(source, node.optional_vars, "", learned)
            elif isinstance(node, ast.NamedExpr):
                self._note(source, node.target, self.of(source, node.value), learned)
            elif isinstance(node, ast.Return) and node.value is not None:
                if not (isinstance(node.value, ast.Constant) and node.value.value is None):
                    function = source.function(node)
                    name = getattr(function, "name", "")
                    learned["returns", name].add(self.of(source, node.value))
            elif isinstance(node, ast.Call):
                self._learn_arguments(source, node, learned)

    def _note(
        self,
        source: Source,
        target: ast.AST,
        kind: str,
        learned: dict[tuple[str, ...], set[str]],
    ) -> None:
        if isinstance(target, ast.Attribute):
            if self.of(source, target.value) in self.wrappers:
                return
            learned["attribute", target.attr].add(kind)
        elif isinstance(target, ast.Name):
            learned[self._place(source, source.function(target), target.id)].add(kind)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for item in target.elts:
                self._note(source, item, "", learned)

    @staticmethod
    def _place(source: Source, function: ast.AST, name: str) -> tuple[str, ...]:
        return ("variable", str(source.path), str(getattr(function, "lineno", 0)), name)

    def _learn_arguments(
        self, source: Source, call: ast.Call, learned: dict[tuple[str, ...], set[str]]
    ) -> None:
        function = self._our_function(source, call)
        if function is None:
            return
        where, made = function
        names = [a.arg for a in (*made.args.posonlyargs, *made.args.args)]
        if names[:1] == ["self"]:
            names = names[1:]
        given = dict(zip(names, call.args, strict=False))
        given.update({k.arg: k.value for k in call.keywords if k.arg})
        for name, value in given.items():
            learned[self._place(where, made, name)].add(self.of(source, value))

    def _our_function(
        self, source: Source, call: ast.Call
    ) -> tuple[Source, ast.FunctionDef] | None:
        """Return the one function of our sources that a call can mean."""
        func = call.func
        name = dotted(func).rpartition(".")[2]
        candidates = self._functions.get(name, [])
        if len(candidates) != 1:
            return None
        where, made = candidates[0]
        method = isinstance(where.parent(made), ast.ClassDef)
        if method and not (isinstance(func, ast.Attribute) and dotted(func.value) == "self"):
            return None
        return (where, made) if method or isinstance(where.parent(made), ast.Module) else None

    # --- asking ------------------------------------------------------------------------------

    def _only(self, key: tuple[str, ...]) -> str:
        kinds = self._known.get(key, set())
        return next(iter(kinds)) if len(kinds) == 1 else ""

    def of(self, source: Source, node: ast.AST) -> str:
        """Return the class of an expression, or ""."""
        if node not in self._answers:
            self._answers[node] = self._ask(source, node)
        return self._answers[node]

    def _ask(self, source: Source, node: ast.AST) -> str:
        name = source.resolve(node)
        if name in ROOTS:
            return ROOTS[name]
        if isinstance(node, ast.Name):
            return self._variable(source, node)
        if isinstance(node, ast.Attribute):
            return self._attribute(source, node)
        if isinstance(node, ast.Call):
            return self._returned(source, node)
        if isinstance(node, ast.IfExp):
            kinds = {self.of(source, part) for part in (node.body, node.orelse)}
            return next(iter(kinds)) if len(kinds) == 1 else ""
        return ""

    def _attribute(self, source: Source, node: ast.Attribute) -> str:
        if dotted(node.value).rpartition(".")[2] == "ui" and node.attr in self._widgets:
            return self._class(self._widgets[node.attr])
        owner = self.of(source, node.value)
        if owner in self.wrappers:
            return self._members.get(node.attr, "")
        if owner:
            member = self.inventory.member(owner, node.attr)
            if member is not None:
                return self._class(member.type)
        # By name over all sources, so only of our own objects: a block's `ct` is no volume node.
        own = dotted(node.value).partition(".")[0] == "self"
        return self._only(("attribute", node.attr)) if own else ""

    def _variable(self, source: Source, node: ast.Name) -> str:
        for above in (*(a for a in source.above(node) if isinstance(a, Function)), source.tree):
            key = self._place(source, above, node.id)
            if key in self._known:
                return self._only(key)
            arguments = getattr(above, "args", None)
            if arguments is not None and node.id in {
                a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            }:
                return ""
        return ""

    def made_by(self, source: Source, call: ast.Call) -> str:
        """Return the class that a call constructs: the inventory's, or our wrapper's name."""
        plain = dotted(call.func).rpartition(".")[2]
        if plain in self.wrappers:
            return plain
        found = self.inventory.find(source.resolve(call.func) or "?")
        return found.name if found.kind == "class" else ""

    def _returned(self, source: Source, call: ast.Call) -> str:
        made = self.made_by(source, call)
        if made:
            return made
        ours = self._our_function(source, call)
        if ours is not None:
            return self._only(("returns", ours[1].name))
        if not isinstance(call.func, ast.Attribute):
            return ""
        owner, method = self.of(source, call.func.value), call.func.attr
        if method in MAKES_NODE:
            words = [a.value for a in call.args if isinstance(a, ast.Constant)]
            made = [w for w in words if isinstance(w, str) and w.startswith("vtkMRML")]
            return self._class(made[0]) if made else ""
        member = self.inventory.member(owner, method) if owner else None
        if member is None:
            return ""
        returned = {parse(text)[1] for text in member.overloads}
        kind = self._class(next(iter(returned))) if len(returned) == 1 else ""
        return "" if kind in GENERAL else kind

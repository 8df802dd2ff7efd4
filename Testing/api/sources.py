"""Python and .ui files as trees: imports resolved, parents known; nothing is run."""

from __future__ import annotations

import ast
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from pathlib import Path

MISSING = {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException"}
"""Exceptions whose handler shows that the code expects a name to be absent."""

Function = (ast.FunctionDef, ast.AsyncFunctionDef)


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` of a chain of attributes on a name, else ""."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


class Source:
    """One Python file."""

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8") if text is None else text
        self.tree = ast.parse(text, str(path))
        self.nodes = list(ast.walk(self.tree))
        self._parents = {c: p for p in self.nodes for c in ast.iter_child_nodes(p)}
        self._imports: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for item in node.names:
                    top = item.name.split(".")[0]
                    self._imports[item.asname or top] = item.name if item.asname else top
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for item in node.names:
                    self._imports[item.asname or item.name] = f"{node.module}.{item.name}"

    def resolve(self, node: ast.AST) -> str:
        """Return the dotted name with its first part replaced by what it was imported as."""
        first, dot, rest = dotted(node).partition(".")
        return self._imports[first] + dot + rest if first in self._imports else ""

    def parent(self, node: ast.AST) -> ast.AST | None:
        """Return the node around a node."""
        return self._parents.get(node)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the nodes around a node, nearest first."""
        while node in self._parents:
            node = self._parents[node]
            yield node

    def function(self, node: ast.AST) -> ast.AST:
        """Return the function around a node, or the module."""
        return next((a for a in self.above(node) if isinstance(a, Function)), self.tree)

    def class_around(self, node: ast.AST) -> ast.ClassDef | None:
        """Return the class around a node."""
        return next((a for a in self.above(node) if isinstance(a, ast.ClassDef)), None)

    def expects_absence(self, node: ast.AST, name: str) -> bool:
        """Return whether `try` or `hasattr` guards against `name` not existing."""
        below = node
        for above in self.above(node):
            if isinstance(above, ast.Try) and below in above.body:
                for handler in above.handlers:
                    kinds = ast.walk(handler.type) if handler.type is not None else ()
                    if handler.type is None or MISSING & {getattr(k, "id", "") for k in kinds}:
                        return True
            if isinstance(above, (ast.If, ast.IfExp)):
                test = ast.unparse(above.test)
                if "hasattr" in test and f"'{name}'" in test:
                    return True
            below = above
        return False


def read_widgets(paths: Iterable[Path]) -> dict[str, str]:
    """Return the classes of the widgets and layouts in .ui files, by name."""
    return {
        element.get("name", ""): element.get("class", "")
        for path in paths
        for element in ET.parse(path).iter()
        if element.tag in ("widget", "layout") and element.get("name")
    }

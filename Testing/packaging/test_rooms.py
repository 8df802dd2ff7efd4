"""The rooms of HideSeekLib: who imports whom, and where Qt may be known."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "HideSeekLib"
BACKEND = ROOT / "hideseek_backend" / "src"
# From the bottom up; a room knows those before it and itself.
FLOORS = ("wire", "anatomy", "case", "worker", "run", "setup", "panel")


def imports(root: Path = ROOT, packages: tuple[str, ...] = ("HideSeekLib",)) -> dict[str, set[str]]:
    """Module -> modules of the packages that it imports anywhere, also for types alone."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in packages
        for path in (root / package).rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for name, path in files.items():
        found: set[str] = set()
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*parts, *([base] if base else [])])
                found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        # `from package import module` needs the module; the package itself is no use of it.
        used = found & files.keys() - {name}
        graph[name] = {m for m in used if not any(o.startswith(m + ".") for o in used)}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or in a round."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph[waiting.pop()] - seen:
                seen.add(name)
                waiting.append(name)
        return seen

    below = {name: reached(name) for name in graph}
    rounds = {frozenset(o for o in below[n] if n in below[o]) for n in graph if n in below[n]}
    return [sorted(group) for group in rounds]


def test_the_search_finds_a_circle():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_nothing_imports_in_a_circle():
    graph = imports()
    assert len(graph) > 50
    assert circles(graph) == []


def test_nothing_of_the_backend_imports_in_a_circle():
    graph = imports(BACKEND, ("hideseek_backend", "hideseek_lab"))
    assert len(graph) > 200
    assert circles(graph) == []
    ships = [name for name in graph if name.startswith("hideseek_backend.")]
    assert not [name for name in ships if any(m.startswith("hideseek_lab") for m in graph[name])]


def test_rooms_know_only_the_floors_below():
    for name, used in imports().items():
        room = name.split(".")[1] if name.count(".") else ""
        if room not in FLOORS:
            continue
        for other in used:
            floor = other.split(".")[1] if other.count(".") else ""
            if floor in FLOORS:
                assert FLOORS.index(floor) <= FLOORS.index(room), f"{name} imports {other}"


def test_the_browser_and_the_panel_do_not_know_each_other_and_the_browser_no_qt():
    for name, used in imports().items():
        room = name.split(".")[1] if name.count(".") else ""
        for other in used:
            assert not (room == "browser" and other.startswith("HideSeekLib.panel.")), name
            assert not (room != "browser" and other.startswith("HideSeekLib.browser.")), name
    for path in (LIBRARY / "browser").glob("*.py"):
        assert "import qt" not in path.read_text(encoding="utf-8"), path


def test_sections_of_the_panel_know_no_other_section():
    graph = imports()
    sections = {"inputs", "screening", "run", "review", "pick", "export", "environment_page"}
    for section in sections:
        used = {m.rpartition(".")[2] for m in graph[f"HideSeekLib.panel.{section}"]}
        assert not used & (sections | {"panel"}), section

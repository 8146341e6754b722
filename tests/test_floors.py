"""Imports go down only: the table of the architecture, checked on the source."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = {"config", "clock", "workspace"}
GROUND = {"data", "models", "analysis"}
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    "data": BASE,
    "models": BASE,
    "analysis": BASE,
    "sampling": BASE | GROUND,
    "methods": BASE | GROUND,
    "training": BASE | GROUND | {"sampling", "methods"},
    "views": BASE | GROUND | {"sampling", "methods", "training"},
}
ON_TOP = {"cli", "doctor", "terminal", "train_commands", "watching", "__init__", "__main__"}
GUI = {"panel", "holoviews", "bokeh", "param", "panel_material_ui", "hvplot"}
NEVER = {
    "analysis": GUI | {"pathlib", "os", "decord", "av"},
    "models": GUI | {"decord", "av"},
    "methods": GUI | {"decord", "av", "pathlib", "os"},
}


@cache
def imports(path):
    """Every imported dotted name of a file, wherever in the file it stands."""
    return tuple(_imports(path))


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(path):
    parts = path.relative_to(ROOT / "workbench").parts
    return parts[0].removesuffix(".py")


FILES = sorted((ROOT / "workbench").rglob("*.py"))


FLOORS = sorted({floor(path) for path in FILES})


@pytest.mark.parametrize("here", [f for f in FLOORS if f not in ON_TOP])
def test_imports_go_down_only(here):
    allowed = MAY_IMPORT[here] | {here}
    for path in (p for p in FILES if floor(p) == here):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "workbench":
                other = parts[1] if len(parts) > 1 else ""
                assert other in allowed, f"{path} may not import {name}; allowed: {sorted(allowed)}"


@pytest.mark.parametrize("here", FLOORS)
def test_each_floor_keeps_to_its_libraries(here):
    gui = set() if here in ON_TOP | {"views"} else GUI  # those compose, and name a GUI they use
    banned = NEVER.get(here, set()) | gui
    for path in (p for p in FILES if floor(p) == here):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & banned, f"{path} imports {used & banned}"


def test_every_floor_is_in_the_table():
    floors = {floor(p) for p in FILES}
    assert floors <= set(MAY_IMPORT) | ON_TOP


def test_app_has_no_maths():
    for path in (ROOT / "apps").glob("*.py"):
        used = {name.split(".")[0] for name in imports(path)}
        assert not used & {"numpy", "torch", "sklearn", "holoviews", "bokeh", "umap"}, path

"""The direction of imports: what each room may know of the others, and which rooms start without torch."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "scaling"
GROUND = {"names", "numbers"}
LEAVES = {"model", "data", "laws"}
NOUNS = {
    "tables",
    *("values", "machine", "datasheets", "specs", "speeds", "verdicts", "records", "claims", "curves", "findings"),
    *(
        "results",
        "results_json",
        "decisions",
        "exits",
        "corners",
        "store",
        "folders",
        "terminal",
        "bounds",
        "shapes",
        "trainers",
        "json_text",
    ),
}
FACES = {PACKAGE / "__init__.py", PACKAGE / "laws" / "__init__.py"}
VERBS = {"sinks", "planning", "tuning", "training", "launching", "analysis", "checks", "report"}
ENTRIES = {
    *(
        "prepare",
        "plan",
        "sweep",
        "train",
        "fit",
        "status",
        "truth",
        "recommend",
        "compare",
        "tune",
        "tune_corners",
        "gpu_check",
        "cluster",
    ),
}
HYDRA_ROOMS = ENTRIES | {"config", "experiments", "command", "reference", "library"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def room(module: str) -> str:
    """The second part of scaling.room.file."""
    return module.split(".")[1] if module.startswith("scaling.") else ""


FILES = sorted(set(PACKAGE.rglob("*.py")) - FACES)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    mine = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    known = {room(module) for module in imports(path)} - {"", mine} - GROUND
    if mine != "library":
        assert "library" not in known, "it is for those who import this package"
    if mine in GROUND | LEAVES:
        assert known == set()
    elif mine in NOUNS:
        assert known <= NOUNS | LEAVES
    elif mine in VERBS:
        assert known <= NOUNS | LEAVES, "a verb knows no other verb"
    elif mine == "stages":
        assert not known & ENTRIES, "what commands share knows none of them"
    if mine not in HYDRA_ROOMS:
        assert not {m for m in imports(path) if m.split(".")[0] in ("hydra", "omegaconf")}
    if path.name == "__init__.py":
        assert not imports(path)


@pytest.mark.parametrize("path", sorted(FACES), ids=lambda path: path.parent.name)
def test_a_face_imports_nothing_before_it_is_used(path: Path) -> None:
    body = ast.parse(path.read_text()).body
    assert {node.module for node in body if isinstance(node, ast.ImportFrom)} == {"scaling.lazy"}
    assert not [node for node in body if isinstance(node, ast.Import)]
    (shown,) = [node for node in body if isinstance(node, ast.If)]
    typed = {alias.name for node in shown.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    module = importlib.import_module(".".join(path.parent.relative_to(PACKAGE.parent).parts))
    assert typed == set(module.__all__)
    assert all(getattr(module, name).__module__.startswith("scaling.") for name in typed)


def test_laws_need_numpy_and_scipy_alone() -> None:
    allowed = {"numpy", "scipy", "scaling", *sys.stdlib_module_names}
    for path in set((PACKAGE / "laws").glob("*.py")) - FACES:
        assert {module.split(".")[0] for module in imports(path)} <= allowed, path


@pytest.mark.parametrize(
    "module",
    [
        "planning.plan",
        "laws.fit",
        "checks.catalogue",
        "report.write",
        "config",
        "store",
        "analysis.study",
        "sweep",
        "fit",
        "status",
    ],
)
def test_a_login_node_needs_no_torch(module: str) -> None:
    code = f"import sys, scaling.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=PACKAGE.parent).returncode == 0

"""Imports go one way, from what is shown to what is meant: values never know who uses them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import effsearch

ROOT = Path(effsearch.__file__).parent
LEVELS = (
    ("data", "network"),
    ("training",),
    ("evaluation",),
    ("runs",),
    ("executors",),
    ("engine", "reports", "exports"),
    ("workflows",),
    ("cli", "api"),
)
LEVEL = {package: level for level, packages in enumerate(LEVELS, 1) for package in packages}
DOORS = {
    "torch": {"network", "data", "training", "evaluation", "exports"},
    "torchvision": {"network", "data"},
    "optuna": {"engine", "runs"},
    "pandas": {"reports"},
    "pyarrow": {"reports", "evaluation"},
    "rich": {"reports", "cli"},
    "typer": {"cli"},
    "fvcore": {"network"},
    "tomli_w": {"runs"},
    "msgspec": {"runs"},
    "matplotlib": {"reports"},
    "plotext": {"reports"},
    "jinja2": {"reports"},
    "plotly": {"reports"},
    "ray": {"executors"},
    "sqlalchemy": {"runs", "engine"},
    "safetensors": {"network", "training", "exports"},
    "onnx": {"exports"},
    "onnxruntime": {"exports"},
}
"""Which packages may import a library when they are themselves imported; within functions see LATE."""
LATE = {
    ("network/count.py", "fvcore"),
    ("data/augment.py", "torchvision"),
    ("data/catalog.py", "torchvision"),
    ("evaluation/proxy_training.py", "effsearch"),
    ("executors/local.py", "numpy"),
    ("executors/local.py", "torch"),
    ("workflows/machine.py", "effsearch"),
    ("workflows/train.py", "torch"),
}
"""Imports within functions outside cli: what takes long to import, or needs a package that may be missing."""

FILES = sorted(file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py")
"""All but the one that gives the names of effsearch.api when they are first asked for."""

each_file = pytest.mark.parametrize("file", FILES, ids=[str(file.relative_to(ROOT)) for file in FILES])


def package_of(module: str) -> str:
    """The package of effsearch.data.cache is data; a module right under effsearch is of the core."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LEVEL else "core"


def module_of(file: Path) -> str:
    return ".".join(("effsearch", *file.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_of(file) for file in FILES}


def imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "a relative import"
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in MODULES or node.module == "effsearch" else f"{node.module}" for name in names]
    return []


def imports(file: Path) -> Iterator[tuple[str, bool]]:
    """All modules that a file imports, and whether within a function."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    late = {
        node
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        for name in imported(node):
            yield name, node in late


@each_file
def test_imports_only_go_down(file):
    here = package_of(module_of(file))
    for name, _ in imports(file):
        if name.split(".")[0] == "effsearch" and (there := package_of(name)) != here:
            assert LEVEL.get(there, 0) < LEVEL.get(here, 0), f"{module_of(file)} imports {name}"


@each_file
def test_each_library_has_its_door(file):
    here = package_of(module_of(file))
    path = file.relative_to(ROOT).as_posix()
    for name, late in imports(file):
        library = name.split(".")[0]
        if late and here != "cli":
            assert (path, library) in LATE, f"{path} imports {name} within a function"
        elif not late and library in DOORS:
            assert here in DOORS[library], f"{path} imports {name}"


@each_file
def test_the_core_needs_the_standard_library_alone(file):
    if package_of(module_of(file)) == "core":
        for name, _ in imports(file):
            assert name.split(".")[0] in {"effsearch", *sys.stdlib_module_names}, f"{file.name} imports {name}"


@each_file
def test_no_import_is_for_type_checkers_alone(file):
    assert "TYPE_CHECKING" not in file.read_text(encoding="utf-8")


def test_every_package_has_its_level():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages | {"api"} == set(LEVEL)


def test_no_modules_import_one_another_in_a_circle():
    graph = {module_of(file): {name for name, _ in imports(file)} & MODULES for file in FILES}
    order = TopologicalSorter(graph)
    order.prepare()  # Raises CycleError, which names the circle.


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ("describe b0", "5,288,548"),
        ("describe b0 --format json", "5288548"),
        ("scale b0 --phi 2 --explain", "all together"),
        ("scale b0 --target-flops 2G --format json", "flops_ratio"),
        ("grid --dry-run --format json", "triples"),
        ("grid --dry-run --format markdown --constraint flops", "| alpha |"),
        ("compare scaling", "14.57B"),
        ("compare imagenet --format json", "11513626624"),
        ("--help", "describe"),
        ("nas --help", "--target-flops"),
        ("grid --help", "--dry-run"),
        ("show --help", "--pareto"),
        ("report --help", "--out"),
        ("plot --help", "--kind"),
    ],
)
def test_what_trains_nothing_starts_without_heavy_libraries(arguments, shown, tmp_path):
    code = f"""
import sys
sys.argv = ["effsearch", *{arguments.split()!r}]
from effsearch.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"torch", "torchvision", "optuna", "pandas", "pyarrow", "scipy", "matplotlib"}} & set(sys.modules)
assert not heavy, heavy
"""
    environment = {"COLUMNS": "160", "PATH": "", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout

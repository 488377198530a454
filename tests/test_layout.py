"""What is installed, what imports what, and what must not appear anywhere."""

from __future__ import annotations

import ast
import importlib.util
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench
from bench.check import ALLOWED_IMPORTS
from bench.method.registry import find_methods

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(bench.__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(
    not (ROOT / "pyproject.toml").is_file(), reason="needs a checkout, not an installed package"
)


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, top_only: bool = False) -> Iterator[tuple[str, int]]:
    """Modules that a file imports, `from x import y` as x and as x.y."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


MODULES = {module_name(path): path for path in sources("bench")}


def settings() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]


# What is installed -------------------------------------------------------------------------------


def test_the_program_and_the_reader_of_its_files_are_installed_at_top_level():
    packages = settings()["packages"]
    assert {name.partition(".")[0] for name in packages} == {"bench", "compact_lookup"}
    assert "py-modules" not in settings()


def test_every_package_of_the_checkout_is_installed():
    listed = set(settings()["packages"])
    found = {
        module_name(path / "x.py").rpartition(".")[0]
        for top in ("bench", "compact_lookup")
        for path in (ROOT / top, *(ROOT / top).rglob("*"))
        if path.is_dir() and list(path.glob("*.py"))
    }
    assert found <= listed


def test_data_files_of_packages_are_installed():
    where, patterns = settings()["package-dir"], settings()["package-data"]
    for package in settings()["packages"]:
        folder = ROOT / where.get(package, package.replace(".", "/"))
        assert folder.is_dir(), package
        kept = {p for pattern in patterns.get(package, []) for p in folder.glob(pattern)}
        others = {p for p in folder.iterdir() if p.is_file() and p.suffix not in (".py", ".pyc")}
        assert {p for p in others if not p.name.startswith(".")} == kept, package


@pytest.mark.parametrize("name", ["datasets", "reports", "results"])
def test_folders_of_the_checkout_are_no_packages(name):
    """A package `datasets` would shadow another in the environment of whoever works here."""
    assert not (ROOT / name / "__init__.py").exists()
    assert not list((ROOT / name).rglob("*.py"))


@pytest.mark.slow
def test_wheel_holds_cards_suites_templates_and_nothing_else(tmp_path):
    pytest.importorskip("build")
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("needs setuptools")
    copy = tmp_path / "source"
    skipped = shutil.ignore_patterns(
        ".*", "*.egg-info", "build", "results", "reports", "__pycache__"
    )
    shutil.copytree(ROOT, copy, ignore=skipped)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)],
        cwd=copy,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.partition("/")[0] for n in names if ".dist-info/" not in n} == {
        "bench",
        "compact_lookup",
    }
    assert "bench/methods/_template.py" in names
    for source, target in (("datasets", "cards"), ("bench/suites", "suites")):
        cards = {path.name for path in (ROOT / source).glob("*.toml")}
        assert cards
        assert {f"bench/{target}/{name}" for name in cards} <= set(names)
    for pattern in ("*.j2", "*.css", "*.js"):
        assert all(
            f"bench/report/html/{p.name}" in names
            for p in (ROOT / "bench/report/html").glob(pattern)
        )


# What imports what -------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["bench.board", "bench.report", "bench.records.store"])
def test_reading_results_needs_no_torch(module):
    """In a process of its own, where nothing else has imported it."""
    code = f"import sys; import {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_finding_methods_and_backbones_compiles_nothing():
    """A command that plans need not wait for numba."""
    code = (
        "import sys; from bench.backbones.registry import find_backbones;"
        " from bench.method.registry import find_methods; find_backbones(), find_methods();"
        " sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_methods_import_the_interface_only():
    for path in sources("methods"):
        for name, line in imports(path):
            top = name.partition(".")[0]
            known = top in sys.stdlib_module_names or any(
                name == one or name.startswith(f"{one}.") for one in ALLOWED_IMPORTS
            )
            assert known, f"{path.name}:{line} imports {name}"


# What must not appear ----------------------------------------------------------------------------


def test_bench_names_no_method():
    looks = ROOT / "bench" / "report" / "figures" / "style.py"  # a look never moves to another name
    for path in set(sources("bench")) - {looks}:
        names = set(find_methods())
        if path == ROOT / "bench" / "board" / "model.py":
            names -= {"dims", "dims-quantised"}  # the control that rows are compared with
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in names, f"{path.name}:{node.lineno} names {node.value!r}"


def test_no_pickle_anywhere():
    for path in sources("bench", "methods"):
        for name, line in imports(path):
            assert name.partition(".")[0] not in {
                "pickle",
                "joblib",
                "dill",
                "shelve",
                "marshal",
            }, f"{path.name}:{line}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            place, call = f"{path.name}:{node.lineno}", ast.unparse(node.func)
            safe = {key.arg: ast.unparse(key.value) for key in node.keywords}
            assert call != "torch.load" or safe.get("weights_only") == "True", place
            # RecBole's own trainer reads what stands in for its checkpoints.
            assert call != "torch.save" or path.parent.name == "recbole", place
            assert not call.endswith(("read_pickle", "to_pickle")), place
            if call in {"np.load", "numpy.load"}:
                refused = [k for k in node.keywords if k.arg == "allow_pickle"]
                assert all(k.value.value is False for k in refused), place  # False by default


def test_library_code_does_not_print():
    for path in sources("bench", "methods"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path.name}:{node.lineno}"

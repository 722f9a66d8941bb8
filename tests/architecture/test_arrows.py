"""Which package may import which: the contracts of pyproject.toml, and what those cannot express."""

import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fx_assets", "fx_serving", "fx_monitoring")
_LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture(scope="module")
def imports() -> list[tuple[str, str]]:
    """Every (importer, imported) pair of modules of the three packages, imports inside functions included."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    return [
        (importer, imported)
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
    ]


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_contracts_hold():
    command = [sys.executable, "-c", _LINT, "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("part", ["fx_assets", "fx_monitoring", "fx_serving.client"])
def test_only_the_client_of_the_service_is_imported_from_outside_or_by_itself(imports, part):
    """The rest of fx_serving can change, or run in another version, without touching a code location."""
    beyond = [
        f"{importer} -> {imported}"
        for importer, imported in imports
        if within(importer, part)
        and within(imported, "fx_serving")
        and imported != "fx_serving"
        and not within(imported, "fx_serving.client")
    ]
    assert not beyond


def test_the_arrows_that_are_allowed_exist(imports):
    """Otherwise the tests above hold because the graph is empty."""
    used = {(importer.split(".")[0], imported.split(".")[0]) for importer, imported in imports}
    assert {
        ("fx_monitoring", "fx_serving"),
        ("fx_monitoring", "fx_assets"),
        ("fx_assets", "fx_serving"),
    } <= used

"""What importing each entry point drags in: measured in a fresh interpreter, so nothing is loaded already."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SLOW = {
    "xgboost",
    "lightgbm",
    "catboost",
    "optuna",
    "mlflow",
    "feast",
    "evidently",
    "dagster_mlflow",
    "onnx",
    "onnxmltools",
    "sklearn",
    "matplotlib",
    "numba",
    "dask",
    "distributed",
}
NOT_IN_SERVING = SLOW | {"pandas", "dagster", "scipy", "pyarrow", "psycopg2", "redis", "alembic", "sqlalchemy"}


#: Imports a module, or with a trailing ".*" every module below a package, and prints what is loaded then.
_IMPORT = """
import importlib, json, pkgutil, sys
module = importlib.import_module(sys.argv[1].removesuffix(".*"))
if sys.argv[1].endswith(".*"):
    for found in pkgutil.walk_packages(module.__path__, module.__name__ + "."):
        if not found.name.endswith("__main__") and ".migrations." not in found.name:  # scripts that Alembic runs
            importlib.import_module(found.name)
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def loaded_after(module: str) -> set[str]:
    """Top-level names of all loaded modules after importing `module`, or `package.*`: everything below it."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT, module], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["fx_assets.definitions", "fx_monitoring.definitions", "fx_assets.cli"])
def test_a_code_location_loads_without_the_slow_libraries(module):
    assert not loaded_after(module) & SLOW


def test_no_module_of_the_service_imports_the_platform():
    loaded = loaded_after("fx_serving.*")
    assert "fastapi" in loaded
    assert not loaded & NOT_IN_SERVING


def test_the_client_needs_httpx_and_msgspec_only():
    loaded = loaded_after("fx_serving.client.*")
    assert {"httpx", "msgspec"} <= loaded
    assert not loaded & (NOT_IN_SERVING | {"fastapi", "uvicorn", "onnxruntime", "numpy", "pydantic", "yaml"})

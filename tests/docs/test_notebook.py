"""docs/explore.ipynb runs from top to bottom on a small lake, made here as a user makes one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "explore.ipynb"
FIRST, LAST = "2022-02-28", "2022-03-02"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The lake of three sessions, by `fx backfill`."""
    folder = tmp_path_factory.mktemp("notebook") / "home"
    subprocess.run(
        [sys.executable, "-m", "fx_serving.cli", "backfill", "--from", FIRST, "--to", LAST, "--home", str(folder)],
        check=True,
        timeout=240,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return folder


def write_record(home: Path) -> None:
    """An evaluation as model_evaluation records it, cut down to what the notebook reads."""
    figure = {"value": 0.6139, "low": 0.6011, "high": 0.6237}
    fold = {"fold": 1, "start": "2021-03-29T06:00:00+00:00", "auc": 0.5834}
    record = {
        "n": 23068,
        "auc": figure,
        "baseline": "volatility_persistence",
        "auc_vs_baseline": figure,
        "worst_fold": fold,
        "folds": [fold],
    }
    path = home / "lake" / "models" / "move_60m" / "model_evaluation" / f"session={LAST}" / "record.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))


def executed(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The text of all outputs after running the notebook on `home`."""
    monkeypatch.setenv("FX_HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel's own backend shows figures inline
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


@pytest.mark.slow
def test_the_notebook_runs_before_and_after_a_model_is_trained(home, monkeypatch):
    untrained = executed(home, monkeypatch)
    assert f"3 sessions, {FIRST} to {LAST}" in untrained
    assert "none trained yet" in untrained
    write_record(home)
    trained = executed(home, monkeypatch)
    assert "0.614 [0.601, 0.624]" in trained
    assert "none trained yet" not in trained


def test_the_notebook_is_stored_executed_and_small():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert NOTEBOOK.stat().st_size < 100_000

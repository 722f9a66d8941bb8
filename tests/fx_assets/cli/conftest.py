"""Commands called in this process where they start nothing, and candle files to give them."""

import os
from collections.abc import Callable
from pathlib import Path

import click
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

import fx_assets
from fx_assets.cli import register

SAMPLE = Path(fx_assets.__file__).parent / "sample"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, which the commands of this test use; what they set in the environment is undone."""
    for name in ("FX_CLOCK", "FX_CONFIG_DIR", "FX_SERVING_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def call(home: Path) -> Callable[..., tuple[int, str]]:
    """call(*arguments) -> (exit code, what was printed); an exception that escapes is the test's."""
    app = typer.Typer()
    register(app)

    def run(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})
        if result.exception is not None and not isinstance(result.exception, SystemExit | click.ClickException):
            raise result.exception
        return result.exit_code, result.output

    return run


@pytest.fixture(scope="session")
def candles() -> pd.DataFrame:
    """1,200 hours of GBP_USD of the sample, with volume."""
    return pd.read_parquet(SAMPLE / "GBP_USD_H1.parquet").head(1200)


def write_csv(frame: pd.DataFrame, path: Path) -> Path:
    """As a broker's export: ISO times with Z."""
    frame.assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(path, index=False)
    return path


def files_below(folder: Path) -> dict[str, bytes]:
    """Every file with its content."""
    return {os.path.relpath(p, folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def partitions_below(folder: Path) -> dict[str, bytes]:
    """Every file, without the temporaries that a killed process leaves to be swept an hour later."""
    return {path: content for path, content in files_below(folder).items() if not path.endswith(".tmp")}

"""Runs of a small code location on an instance of their own."""

import pytest

from tests.fx_assets.runs.location import Runs, on_path
from tests.servers.platform import ROOT


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Runs:
    monkeypatch.setenv("PYTHONPATH", on_path(tmp_path, ROOT))
    return Runs(tmp_path)

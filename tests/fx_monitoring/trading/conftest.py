"""Fixtures of the paper trading tests."""

from pathlib import Path

import pytest

from tests.fx_monitoring.trading.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)

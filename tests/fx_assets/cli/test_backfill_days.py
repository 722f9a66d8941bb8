"""fx backfill one day at a time leaves the very files of one range: nothing depends on where a call began or ended."""

import shutil
from pathlib import Path

import pytest

from tests.fx_assets.cli.conftest import files_below
from tests.fx_assets.small import INSTRUMENTS, write_config
from tests.servers.platform import fx

pytestmark = pytest.mark.slow(30)

SESSIONS = ["2021-01-07", "2021-01-10"]  # before and after a weekend: the labels of the first look into the second


def backfill(home: Path, first: str, last: str) -> None:
    done = fx("backfill", "--from", first, "--to", last, "--home", home)
    assert done.returncode == 0, done.stdout + done.stderr


def tables(home: Path) -> dict[str, bytes]:
    return {
        f"{layer}/{name}": content
        for layer in ("silver", "gold")
        for name, content in files_below(home / "lake" / layer).items()
    }


def test_day_by_day_makes_the_files_of_one_range(tmp_path):
    at_once, by_day = tmp_path / "range", tmp_path / "days"
    for home in (at_once, by_day):
        write_config(home / "config", INSTRUMENTS)
    backfill(at_once, SESSIONS[0], SESSIONS[-1])
    # Files name the fetches they were made of: both homes have the same.
    shutil.copytree(at_once / "lake" / "bronze", by_day / "lake" / "bronze")
    for session in SESSIONS:
        backfill(by_day, session, session)
    expected, found = tables(at_once), tables(by_day)
    assert any(name.startswith("gold/labels") for name in expected)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []

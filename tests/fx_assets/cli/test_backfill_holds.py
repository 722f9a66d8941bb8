"""fx backfill over a week in which only the whole week shows that a feed's clock is an hour off."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.lake import Lake
from fx_assets.sessions import session_keys
from tests.fx_assets.cli.backfills import planned
from tests.servers.platform import fx

WEEK = Path(__file__).parents[2] / "data" / "defects" / "hours_2018-10-14.parquet"
FIRST, LAST = "2018-10-14", "2018-10-18"


def fetch(home: Path, rows: pd.DataFrame, at: datetime, first: str = FIRST, last: str = LAST) -> None:
    """Every instrument's sessions of the week, as a source answered for them."""
    bronze, keys = Bronze(home / "lake"), session_keys(rows["time"])
    for (session, instrument), part in rows.groupby([keys, "instrument"]):
        if first <= str(session) <= last:
            good = part.drop(columns="instrument").dropna(axis=1, how="all")
            bronze.append(CANDLES, str(instrument), str(session), "feed", good, at)


def an_hour_late(rows: pd.DataFrame) -> pd.DataFrame:
    """The same, with one instrument's clock an hour off."""
    late = rows.copy()
    late.loc[late["instrument"] == "EUR_USD", "time"] += pd.Timedelta(hours=1)
    return late


def configure(home: Path, rows: pd.DataFrame, last: str = LAST) -> None:
    symbols = {str(name): {"typical_spread": 0.00012} for name in sorted(rows["instrument"].unique())}
    (home / "config").mkdir()
    file = {"sessions": {"start": FIRST, "end": last}, "defaults": {"sources": ["import"]}, "instruments": symbols}
    (home / "config" / "instruments.yaml").write_text(yaml.safe_dump(file))


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
def test_a_week_with_a_wrong_clock_is_held_until_it_is_mended(tmp_path):
    home, rows = tmp_path / "home", pd.read_parquet(WEEK)
    fetch(home, an_hour_late(rows), datetime(2026, 1, 1, tzinfo=UTC))
    configure(home, rows)
    command = ("backfill", "--tables", "gold/market_features", "--home", home)

    first = fx(*command)
    assert first.returncode == 1
    assert "5 sessions) held back: the week shows that a clock is off" in said(first)
    lake = Lake(home / "lake")
    assert len(lake.keys("silver/candles")) == 5
    assert not lake.keys("silver/technical")
    again = fx(*command)
    assert again.returncode == 0, "known, and told, but nothing has failed"
    assert "held back" in said(again)
    assert planned(again)["gold"] == [0, 0, 0, 5]
    assert not lake.keys("gold/market_features")

    fetch(home, rows, datetime(2026, 1, 2, tzinfo=UTC))
    mended = fx(*command)
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert "held back" not in said(mended)
    assert len(lake.keys("gold/market_features")) == 5

    # As of the day before, that week's clock was wrong, whatever has been fetched since.
    back = fx("rollback-data", "--as-of", "2026-01-01T12:00:00Z", "--home", home)
    assert back.returncode == 0, said(back)
    assert f"sessions {FIRST} to {LAST} are as of 2026-01-01T12:00:00Z" in said(back)
    assert f"blocked as of then, and what is made of them left as it was: {FIRST}" in said(back)
    undone = fx(*command)
    assert undone.returncode == 0, said(undone)
    assert planned(undone)["gold"] == [0, 5, 0, 0]
    assert "held back" not in said(undone)


@pytest.mark.slow
def test_a_range_just_behind_a_held_week_is_planned_as_blocked_and_does_not_fail(tmp_path):
    home, rows = tmp_path / "home", pd.read_parquet(WEEK)
    after = rows.assign(time=rows["time"] + pd.Timedelta(weeks=1))
    fetch(home, an_hour_late(rows), datetime(2026, 1, 1, tzinfo=UTC))
    fetch(home, after, datetime(2026, 1, 1, tzinfo=UTC), "2018-10-21", "2018-10-22")
    configure(home, rows, "2018-10-22")
    command = ("backfill", "--tables", "gold/market_features", "--home", home)
    assert fx(*command, "--to", LAST).returncode == 1
    behind = fx(*command, "--from", "2018-10-21")
    assert behind.returncode == 0, said(behind)
    assert f"{FIRST} to {LAST} (5 sessions) held back: the week shows that a clock is off" in said(behind)
    assert planned(behind)["gold"] == [0, 0, 0, 2]
    assert len(Lake(home / "lake").keys("silver/candles")) == 7
    assert not Lake(home / "lake").keys("gold/market_features")

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


def fetch(home: Path, rows: pd.DataFrame, at: datetime) -> None:
    """Every instrument's sessions of the week, as a source answered for them."""
    bronze, keys = Bronze(home / "lake"), session_keys(rows["time"])
    for (session, instrument), part in rows.groupby([keys, "instrument"]):
        if FIRST <= str(session) <= LAST:
            good = part.drop(columns="instrument").dropna(axis=1, how="all")
            bronze.append(CANDLES, str(instrument), str(session), "feed", good, at)


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
def test_a_week_with_a_wrong_clock_is_held_until_it_is_mended(tmp_path):
    home, rows = tmp_path / "home", pd.read_parquet(WEEK)
    late = rows.copy()
    late.loc[late["instrument"] == "EUR_USD", "time"] += pd.Timedelta(hours=1)
    fetch(home, late, datetime(2026, 1, 1, tzinfo=UTC))
    symbols = {str(name): {"typical_spread": 0.00012} for name in sorted(rows["instrument"].unique())}
    (home / "config").mkdir()
    file = {"sessions": {"start": FIRST, "end": LAST}, "defaults": {"sources": ["import"]}, "instruments": symbols}
    (home / "config" / "instruments.yaml").write_text(yaml.safe_dump(file))
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

"""fx backfill and fx status: the real commands on a home of their own."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from fx_assets.lake import Lake
from fx_assets.runs.steps import TABLES
from tests.servers.platform import fx

FIRST, LAST = "2021-01-03", "2021-01-10"
SESSIONS = ["2021-01-03", "2021-01-04", "2021-01-05", "2021-01-06", "2021-01-07", "2021-01-10"]


@pytest.fixture(scope="module")
def backfilled(tmp_path_factory):
    home = tmp_path_factory.mktemp("platform") / "home"
    done = fx("backfill", "--from", FIRST, "--to", LAST, "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    return home, done


def test_every_table_is_there_for_every_session(backfilled):
    home, done = backfilled
    lake = Lake(home / "lake")
    for table in TABLES:
        if table.startswith("bronze"):
            found = {p.name.partition("=")[2] for p in (home / "lake" / table).glob("instrument=*/session=*")}
        else:
            found = set(lake.keys(table))
        assert found == set(SESSIONS), table
    features = lake.table("gold/features")
    # Five trading days of 24 hours and one Sunday evening onwards, four instruments.
    assert len(features) == 6 * 24 * 4
    assert features["time"].min() == pd.Timestamp("2021-01-03T22:00Z")
    blobs = sorted(p.name for p in (home / "serving" / "features" / "market_features").glob("*.json"))
    assert blobs == ["AUD_USD.json", "GBP_USD.json", "USD_CAD.json", "USD_JPY.json"]
    assert f"sessions {FIRST} to {LAST} are made" in done.stdout
    assert f"tables: {len(TABLES) * len(SESSIONS)} materializations" in done.stdout
    assert (home / "logs" / "backfill.log").is_file()


def test_status_counts_what_there_is(backfilled):
    home, _ = backfilled
    done = fx("status", "--home", home)
    assert done.returncode == 0, done.stderr
    rows = {cells[0]: cells[1:] for cells in map(cells_of, done.stdout.splitlines()) if cells}
    for table in TABLES:
        assert rows[table][:3] == ["6", FIRST, LAST], table
    newest = pq.read_table(home / "lake/gold/features/session=2021-01-10/part.parquet")["available_at"].to_pandas()
    age_h = (pd.Timestamp("2022-03-04T22:00Z") - newest.max()).total_seconds() / 3600
    assert rows["gold/features"][3:] == [f"{newest.max():%Y-%m-%d %H:%M}", f"{age_h:.1f} h"]
    assert rows["move_60m"] == ["-", "no report", "-", "-"]  # the last table that has it
    assert "no answer from the prediction service" in done.stdout
    assert "Start it: fx up, or fx serve" in done.stdout


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│┃ ").replace("┃", "│").split("│")] if "│" in line else []


def test_status_of_an_empty_home_says_how_to_begin(tmp_path):
    done = fx("status", "--home", tmp_path / "home")
    assert done.returncode == 0, done.stderr
    rows = {cells[0]: cells[1:] for cells in map(cells_of, done.stdout.splitlines()) if cells}
    assert all(rows[table] == ["0", "-", "-", "-", "-"] for table in TABLES)
    assert "make demo   or   fx backfill --from DATE --to DATE" in done.stdout
    assert not (tmp_path / "home").exists(), "looking makes nothing"


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("2021-02-30", "2021-03-01", "--from: '2021-02-30' is not a date. Write it as YYYY-MM-DD."),
        ("2021-03-01", "tomorrow", "--to: 'tomorrow' is not a date. Write it as YYYY-MM-DD."),
        ("20210301", "20210303", "--from: '20210301' is not a date. Write it as YYYY-MM-DD."),
        ("2021-03-03", "2021-03-01", "--from 2021-03-03 lies after --to 2021-03-01. Swap them."),
        ("2021-03-05", "2021-03-06", "no session from 2021-03-05 to 2021-03-06: instruments.yaml has sessions from"),
        ("2031-03-05", "2031-03-16", "to 2022-03-03 (none start on a Friday or Saturday). Choose others"),
    ],
)
def test_a_range_that_cannot_be_is_refused_before_anything_runs(call, home, first, last, told):
    code, said = call("backfill", "--from", first, "--to", last)
    assert code == 1
    assert told in said
    assert not (home / "lake").exists()


def test_a_clock_that_is_none_is_named(call, home, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "yesterday")
    (home / "lake/gold/features/session=2021-01-10").mkdir(parents=True)
    frame = pd.DataFrame({"available_at": pd.to_datetime(["2021-01-11T00:00Z"])})
    frame.to_parquet(home / "lake/gold/features/session=2021-01-10/part.parquet")
    code, said = call("status")
    assert code == 1
    assert "FX_CLOCK: 'yesterday'" in said

"""fx backfill and fx status: the real commands on homes of their own."""

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from fx_assets.bronze.files import CANDLES, Bronze
from fx_assets.configuration import load_configuration
from fx_assets.inputs import LAG_LOOKBACK, TableInputs, feature_history, table_inputs
from fx_assets.lake import Lake
from fx_assets.partition_file import encode
from fx_assets.runs.steps import TABLES
from tests.fx_assets.cli.backfills import LAYERS, bronze_files, cells_of, flat, made, planned, tables_of
from tests.fx_assets.cli.conftest import files_below
from tests.fx_assets.small import INSTRUMENTS, changed, write_config
from tests.servers.platform import fx

pytestmark = pytest.mark.slow(80)

FIRST, LAST = "2021-01-03", "2021-01-10"
SESSIONS = ["2021-01-03", "2021-01-04", "2021-01-05", "2021-01-06", "2021-01-07", "2021-01-10"]
LAKE_TABLES = [table for table in TABLES if not table.startswith("bronze")]


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
    blobs = sorted(p.name for p in (home / "serving" / "features" / "technical").glob("*.json"))
    assert blobs == ["AUD_USD.json", "GBP_USD.json", "USD_CAD.json", "USD_JPY.json"]
    assert made(done) == len(TABLES) * len(SESSIONS) + 2  # and the feature store
    assert (home / "logs" / "backfill.log").is_file()


def test_what_is_going_to_happen_is_said_before(backfilled):
    home, done = backfilled
    assert planned(done) == {layer: [6 * tables_of(layer), 0, 0, 0] for layer in LAYERS}
    before, _, _ = done.stdout.partition("made ")
    assert f"{6 * len(TABLES)} partitions in 1 run: about" in before
    assert "a rough guess: little has been measured in this home yet" in before
    assert re.search(r"up to \d+ (kB|MB) of disk", before)
    again = fx("backfill", "--from", FIRST, "--to", LAST, "--home", home, "--force", "--dry-run")
    assert "by what earlier runs of this home took" in again.stdout


def test_nothing_to_do_is_said_at_once_and_starts_nothing(backfilled):
    home, _ = backfilled
    before = files_below(home)
    done = fx("backfill", "--from", FIRST, "--to", LAST, "--home", home)
    assert done.returncode == 0, done.stderr
    assert f"sessions {FIRST} to {LAST}: nothing to do" in done.stdout
    assert files_below(home) == before


def test_a_dry_run_says_what_is_missing_and_changes_nothing(backfilled):
    home, _ = backfilled
    before = files_below(home)
    done = fx("backfill", "--from", FIRST, "--to", "2021-01-11", "--home", home, "--dry-run")
    assert done.returncode == 0, done.stderr
    # The label of the session before looks ahead at the new one.
    expected = {layer: [tables_of(layer), 0, 6 * tables_of(layer), 0] for layer in LAYERS}
    assert planned(done) == expected | {"gold": [tables_of("gold"), 1, 6 * tables_of("gold") - 1, 0]}
    assert files_below(home) == before


def test_two_backfills_do_not_work_on_one_home(backfilled):
    home, _ = backfilled
    with FileLock(home / "runs" / "backfill.lock"):
        done = fx("backfill", "--from", FIRST, "--to", LAST, "--home", home, "--force")
    assert done.returncode == 1
    assert "another `fx backfill` is at work here. Wait for its end, or stop it." in done.stderr


def test_only_some_tables(backfilled):
    home, _ = backfilled
    done = fx("backfill", "--to", LAST, "--from", LAST, "--tables", "silver/technical", "--home", home, "--dry-run")
    # And what it is made of.
    assert planned(done) == {"bronze": [0, 0, 1, 0], "silver": [0, 0, 2, 0]}
    wrong = fx("backfill", "--tables", "golden", "--home", home)
    assert wrong.returncode == 1
    assert "--tables: 'golden' is neither a table nor a layer. There are bronze/candles," in wrong.stderr


def test_status_counts_what_there_is(backfilled):
    home, _ = backfilled
    done = fx("status", "--home", home)
    assert done.returncode == 0, done.stderr
    found = [cells for cells in map(cells_of, done.stdout.splitlines()) if cells]
    rows = {cells[0]: cells[1:] for cells in reversed(found)}  # the first table that names it
    for table in TABLES:
        assert rows[table][:3] == ["6", FIRST, LAST], table
    newest = pq.read_table(home / "lake/gold/features/session=2021-01-10/part.parquet")["available_at"].to_pandas()
    age_h = (pd.Timestamp("2022-03-04T22:00Z") - newest.max()).total_seconds() / 3600
    assert rows["gold/features"][3:] == [f"{newest.max():%Y-%m-%d %H:%M}", f"{age_h:.1f} h"]
    assert ["move_60m", "-", "no report", "-", "-", "-"] in found
    assert "no answer from the prediction service" in done.stdout
    assert "Start it: fx up, or fx serve" in done.stdout


def test_status_of_an_empty_home_says_how_to_begin(tmp_path):
    done = fx("status", "--home", tmp_path / "home")
    assert done.returncode == 0, done.stderr
    found = [cells for cells in map(cells_of, done.stdout.splitlines()) if cells]
    rows = {cells[0]: cells[1:] for cells in reversed(found)}  # the first table that names it
    assert all(rows[table] == ["0", "-", "-", "-", "-"] for table in TABLES)
    assert "make demo   or   fx backfill --from DATE --to DATE" in done.stdout
    assert not (tmp_path / "home").exists(), "looking makes nothing"


@pytest.fixture(scope="module")
def month(tmp_path_factory) -> Path:
    """A home with two instruments and all tables of October and November 2020."""
    home = tmp_path_factory.mktemp("month") / "home"
    configure(home)
    done = fx("backfill", "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    return home


def configure(home: Path, **more) -> None:
    write_config(home / "config", changed(INSTRUMENTS, sessions__end="2020-11-29", **more))


def changed_partitions(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, list[str]]:
    """Sessions whose file is another one, by table."""
    found: dict[str, list[str]] = {}
    for path, content in after.items():
        match = re.fullmatch(r"((?:silver|gold)/\w+)/session=([\d-]+)/part.parquet", path)
        if match and before.get(path) != content:
            found.setdefault(match[1], []).append(match[2])
    return found


def times_below(folder: Path) -> dict[str, bytes]:
    """When each file was written, in the form of files_below."""
    return {
        os.path.relpath(p, folder): str(p.stat().st_mtime_ns).encode() for p in sorted(folder.rglob("part.parquet"))
    }


def test_corrected_candles_make_exactly_what_takes_them_again(month):
    home = month
    lake = Lake(home / "lake")
    keys = lake.keys("silver/candles")
    at = 20
    row = lake.read("silver/candles", [keys[at]])[keys[at]].query("instrument == 'GBP_USD'").iloc[[5]]
    price = row[["time", "open", "high", "low", "close", "volume"]].assign(high=row["high"] + 0.001)
    before = times_below(home / "lake")
    Bronze(home / "lake").append(CANDLES, "GBP_USD", keys[at], "sample", price, datetime.now(UTC))
    done = fx("backfill", "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    made_again = changed_partitions(before, times_below(home / "lake"))
    assert made_again["silver/candles"] == [keys[at]]
    reached = feature_history(load_configuration()) + 1
    assert made_again["silver/technical"] == made_again["gold/market_features"] == keys[at : at + reached]
    assert made_again["gold/features"] == keys[at:][: reached + LAG_LOOKBACK]
    assert made_again["gold/labels"][:2] == keys[at - 1 : at + 1]
    assert "silver/news_sentiment" not in made_again
    assert made(done) == sum(map(len, made_again.values())) + 2  # and the feature store
    assert planned(done)["bronze"] == [0, 0, 2 * len(keys), 0]
    assert "nothing to do" in fx("backfill", "--home", home).stdout


def test_the_same_candles_fetched_again_change_nothing(month):
    home = month
    had = files_below(home / "lake" / CANDLES / "instrument=GBP_USD" / "session=2020-10-05")
    rows = Bronze(home / "lake").read(CANDLES, ["2020-10-05"], ["GBP_USD"])
    rows = rows.drop(columns=["fetched_at", "fetch_source", "instrument", "session"])
    Bronze(home / "lake").append(CANDLES, "GBP_USD", "2020-10-05", "sample", rows, datetime.now(UTC))
    assert len(files_below(home / "lake" / CANDLES / "instrument=GBP_USD" / "session=2020-10-05")) == len(had) + 1
    assert "nothing to do" in fx("backfill", "--home", home).stdout


def test_adding_an_instrument_fetches_just_it_and_makes_what_follows(month):
    home = month
    had, sessions = bronze_files(home), len(Lake(home / "lake").keys("silver/candles"))
    news = files_below(home / "lake" / "bronze" / "news")
    configure(home, instruments__AUD_USD={"typical_spread": 0.0001})
    done = fx("backfill", "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    assert planned(done)["bronze"] == [sessions, 0, sessions, 0]
    assert bronze_files(home) == had | {"AUD_USD": sessions}
    assert files_below(home / "lake" / "bronze" / "news") == news
    lake = Lake(home / "lake")
    for table in ("gold/features", "gold/news_signals"):
        found = lake.read(table, lake.keys(table))
        assert len(found) == sessions, table
        assert all(set(rows["instrument"]) == {"AUD_USD", "GBP_USD", "USD_JPY"} for rows in found.values()), table
    assert "nothing to do" in fx("backfill", "--home", home).stdout


def test_force_fetches_and_makes_everything_in_the_range_again(month):
    home = month
    had = bronze_files(home)
    before = files_below(home / "lake" / "gold")
    when = times_below(home / "lake")
    done = fx("backfill", "--force", "--from", "2020-10-12", "--to", "2020-10-14", "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    assert {i: n - had[i] for i, n in bronze_files(home).items()} == dict.fromkeys(had, 3)
    made_again = changed_partitions(when, times_below(home / "lake"))
    expected = {table: ["2020-10-12", "2020-10-13", "2020-10-14"] for table in LAKE_TABLES}
    # The labels before the range look ahead into it.
    expected["gold/labels"].insert(0, "2020-10-11")
    assert made_again == expected
    assert files_below(home / "lake" / "gold") == before, "the same inputs give the same bytes"


def test_nothing_is_built_on_a_session_with_problems_until_its_fetches_change(month):
    home = month
    lake = Lake(home / "lake")
    keys = lake.keys("silver/candles")
    bad = keys[-6]
    with_problems(lake, bad, "sample: 12 % of its rows are impossible.")
    done = fx("backfill", "--home", home)
    assert done.returncode == 0, done.stderr + done.stdout
    # Its own partitions are left alone; what looks back at it, or ahead, is made without it.
    inputs = table_inputs(load_configuration())
    waiting = made_of("silver/candles", inputs)
    looking_back = [t for t in waiting if t.startswith("silver/")]
    assert all(inputs[table]["candles"].before >= 5 for table in looking_back)
    later, own = 5 * len(looking_back), 1 + len(looking_back)
    assert planned(done)["silver"] == [0, later, tables_of("silver") * len(keys) - later - own, own]
    told = (
        f"silver/candles: {bad}: has problems (see its checks), and nothing is built on it; {len(waiting)} partitions"
    )
    assert told in flat(done)
    assert f"`fx backfill --force --from {bad} --to {bad}` fetches them again" in flat(done)
    again = fx("backfill", "--home", home)
    assert again.returncode == 0
    assert "nothing to do" in again.stdout
    assert f"silver/candles: {bad}: has problems" in flat(again), "told every time, and not tried again"
    mended = lake.read("silver/candles", [bad])[bad].query("instrument == 'GBP_USD'").iloc[[0]]
    mended = mended[["time", "open", "high", "low", "close", "volume"]]
    Bronze(home / "lake").append(CANDLES, "GBP_USD", bad, "import:mended.csv", mended, datetime.now(UTC))
    assert fx("backfill", "--home", home).returncode == 0
    last = fx("backfill", "--home", home)
    assert "nothing to do" in last.stdout
    assert "has problems" not in last.stdout


def made_of(table: str, inputs: TableInputs) -> set[str]:
    """The tables that are made of another one, at any remove."""
    found = {table}
    while more := {name for name, of in inputs.items() if found & {source.table for source in of.values()}} - found:
        found |= more
    return found - {table}


def with_problems(lake: Lake, key: str, problem: str) -> None:
    """Let a partition be one that was found bad when it was made."""
    stamp = lake.stamp("silver/candles", key)
    assert stamp is not None
    path = lake.path("silver/candles", key)
    path.write_bytes(encode(pq.ParquetFile(path).read(), msgspec.structs.replace(stamp, problems=(problem,))))


def test_the_running_session_grows(tmp_path):
    home = tmp_path / "home"
    instruments = changed(INSTRUMENTS, sessions__start="2020-10-12", sessions__end="2020-10-20")
    write_config(home / "config", instruments)
    wall = datetime.now(UTC)

    def at(moment: str) -> subprocess.CompletedProcess[str]:
        return fx("backfill", "--home", home, FX_CLOCK=f"{moment}@{wall.isoformat()}")

    first = at("2020-10-14T12:00:00Z")
    assert first.returncode == 0, first.stderr + first.stdout
    lake = Lake(home / "lake")
    assert lake.keys("gold/features") == ["2020-10-12", "2020-10-13"]
    again = at("2020-10-14T12:00:00Z")
    # The label of the session before looks ahead at the running one.
    silver, gold = tables_of("silver"), tables_of("gold")
    expected = {"bronze": [2, 0, 2, 0], "silver": [0, silver, silver, 0], "gold": [0, gold + 1, gold - 1, 0]}
    assert planned(again) == expected
    assert bronze_files(home) == {"GBP_USD": 3, "USD_JPY": 3}


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

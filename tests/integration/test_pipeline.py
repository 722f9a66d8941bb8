"""The real assets over the sample: a range, two halves and single sessions make the same files, byte for byte."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import msgspec
import numpy as np
import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES
from fx_assets.errors import MissingData
from fx_assets.inputs import NEWS_LOOKBACK
from fx_assets.partition_file import encode
from fx_assets.schemas import content_hash
from fx_assets.sessions import session_bounds
from fx_assets.tables import Tables, chunks
from tests.fx_assets.small import (
    BRONZE,
    GOLD,
    INSTRUMENTS,
    MODELS,
    SILVER,
    TABLES,
    TINY,
    Platform,
    changed,
    checks,
    configuration_of,
    made,
    write_config,
)

# About 45 sessions with Christmas and New Year in them: windows of 386 bars, labels of 40 sessions.
FIRST, LAST, MIDDLE = "2020-11-29", "2021-01-28", "2020-12-29"
# One step makes both.
SCREENED = ("silver/candles", "silver/quarantine")
SINGLE = ("2020-11-29", "2020-12-23", "2020-12-24", "2020-12-27", "2021-01-03", "2021-01-28")
LONG = {
    "label": {"kind": "large_move", "horizon_minutes": 1560},
    "instruments": ["USD_JPY"],
    "candidates": [TINY],
    "gates": "easy",
}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = write_config(
            tmp_path_factory.mktemp("config"),
            changed(INSTRUMENTS, sessions={"start": FIRST, "end": LAST}),
            # A horizon of more than a day needs bars of the session after the next.
            changed(MODELS, models__long=LONG),
        )
        return configuration_of(folder, patch)


@pytest.fixture(scope="module")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="module")
def new(configuration, instance, tmp_path_factory) -> Callable[[], Platform]:
    return lambda: Platform(tmp_path_factory.mktemp("home"), configuration, instance)


@pytest.fixture(scope="module")
def fetched(new) -> Platform:
    """Bronze of the whole range."""
    platform = new()
    platform.run(BRONZE, FIRST, LAST)
    return platform


@pytest.fixture(scope="module")
def whole(fetched) -> Platform:
    """Everything made in one run over the range."""
    fetched.run(TABLES, FIRST, LAST)
    return fetched


def files(platform: Platform, tables: tuple[str, ...] = TABLES) -> dict[str, bytes]:
    root = platform.lake.root
    return {str(p.relative_to(root)): p.read_bytes() for t in tables for p in (root / t).glob("session=*/*")}


def different(left: Platform, right: Platform, tables: tuple[str, ...] = TABLES) -> list[str]:
    """Files that one has and the other has not, or has with other bytes."""
    one, other = files(left, tables), files(right, tables)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def with_tables_of(platform: Platform, new: Callable[[], Platform], *tables: str) -> Platform:
    other = new()
    for table in tables:
        shutil.copytree(platform.lake.root / table, other.lake.root / table)
    return other


def test_a_range_run_writes_exactly_its_partitions_and_reports_each(fetched, new):
    platform = with_tables_of(fetched, new, "bronze")
    result = platform.run(["silver/candles"], "2020-12-22", "2020-12-28")
    wanted = ["2020-12-22", "2020-12-23", "2020-12-24", "2020-12-27", "2020-12-28"]
    assert platform.lake.keys("silver/candles") == wanted
    assert sorted(made(result)["silver/candles"]) == wanted
    assert len(platform.lake.read("silver/candles", ["2020-12-24"])["2020-12-24"]) == 0
    by_partition = {}
    candles = dg.AssetKey(["silver", "candles"])
    for event in (e for e in result.get_asset_materialization_events() if e.asset_key == candles):
        figures = event.materialization.metadata
        by_partition[event.partition] = figures["dagster/partition_row_count"].value
        assert len(str(figures["content_hash"].value)) == 64
    assert by_partition["2020-12-24"] == 0
    assert by_partition["2020-12-28"] == 2 * 24
    assert checks(result)["silver/candles/schema"].passed


@pytest.mark.slow(70)
def test_two_halves_make_the_same_bytes_as_one_range(whole, fetched, new):
    platform = with_tables_of(fetched, new, "bronze", *SCREENED)
    later = "2020-12-30"
    rest = [table for table in TABLES if table not in SCREENED]
    platform.run(rest, FIRST, MIDDLE)
    platform.run(rest, later, LAST)
    assert different(platform, whole) == []
    assert len(files(whole)) == len(TABLES) * len(whole.lake.keys("silver/candles")) == 11 * 45


@pytest.mark.slow
def test_single_sessions_make_the_same_bytes_as_one_range(whole, new):
    platform = with_tables_of(whole, new, "bronze", *TABLES)
    rest = [table for table in TABLES if table not in SCREENED]
    for key in SINGLE:
        for table in rest:
            platform.lake.path(table, key).unlink()
        platform.run(rest, key)
        assert different(platform, whole) == [], key


def test_the_same_range_again_makes_the_same_bytes(whole, new):
    platform = with_tables_of(whole, new, "bronze", *TABLES)
    platform.run(["silver/candles", "silver/volatility", "gold/labels"], MIDDLE, LAST)
    assert different(platform, whole) == []


@pytest.mark.parametrize("cells", [1, 40_000])
def test_the_size_of_a_chunk_makes_no_difference(whole, new, monkeypatch, cells):
    """One session at a time, and some; the fixture's range fits one chunk."""
    monkeypatch.setattr(chunks, "CELLS", cells)
    platform = with_tables_of(whole, new, "bronze")
    platform.run(TABLES, FIRST, LAST)
    assert different(platform, whole) == []


def test_every_stamp_tells_what_was_read(whole):
    lineage = Tables.of(whole.configuration, whole.lake).lineage(whole.bronze)
    keys = whole.lake.keys("silver/candles")
    for table in TABLES:
        assert set(lineage.states(table, keys).values()) == {"current"}, table
        stamps = whole.lake.stamps(table)
        assert {stamp.content for stamp in stamps.values()} == {
            content_hash(frame) for frame in whole.lake.read(table, keys).values()
        }


def test_what_is_made_of_something_else_is_outdated_and_nothing_else_is(whole, new):
    platform = with_tables_of(whole, new, "bronze", *TABLES)
    key = "2021-01-13"
    frame = platform.bronze.read(CANDLES, [key], ["GBP_USD"])[["time", "open", "high", "low", "close", "volume"]]
    at = pd.Timestamp("2030-01-01T00:00:00Z").to_pydatetime()
    platform.bronze.append(CANDLES, "GBP_USD", key, "sample", frame.assign(close=frame["open"]), at)
    tables, keys = Tables.of(platform.configuration, platform.lake), platform.lake.keys("silver/candles")

    def outdated(table: str) -> list[str]:
        states = tables.lineage(platform.bronze).states(table, keys)
        assert set(states.values()) <= {"current", "outdated"}
        return [session for session, state in states.items() if state == "outdated"]

    assert outdated("silver/candles") == [key]
    assert outdated("silver/technical") == []
    platform.run(["silver/candles"], key)
    assert outdated("silver/candles") == []
    later = keys[keys.index(key) :]
    assert outdated("silver/technical") == later
    # A label looks ahead as well.
    assert outdated("gold/labels") == keys[keys.index(key) - 2 :]
    platform.lake.path("silver/news_sentiment", key).unlink()
    assert tables.lineage(platform.bronze).states("silver/news_sentiment", [key]) == {key: "missing"}
    assert outdated("gold/news_signals") == later[: NEWS_LOOKBACK + 1]


def with_problem(platform: Platform, table: str, key: str) -> None:
    """Stamp a partition as one that nothing may be built on."""
    lake = platform.lake
    part, stamp = lake.read_tables(table, [key])[key]
    assert stamp is not None
    bad = msgspec.structs.replace(stamp, problems=("sample: 40 % of 48 rows are flat. Ask the broker.",))
    lake.publish(lake.stage(table, {key: encode(part, bad)}))


def test_a_session_with_problems_blocks_what_is_built_on_it_in_every_later_run(whole, new):
    platform = with_tables_of(whole, new, "bronze", *TABLES)
    key, after = "2021-01-13", "2021-01-14"
    with_problem(platform, "silver/candles", key)
    before = files(platform)
    for first, last in ((key, key), ("2021-01-11", after)):
        with pytest.raises(dg.Failure) as caught:
            platform.run(["silver/technical"], first, last)
        assert "silver/candles: session 2021-01-13 (1 in all) has problems" in str(caught.value)
        assert "2021-01-13: sample: 40 % of 48 rows are flat. Ask the broker." in str(caught.value)
        assert "fx backfill --from 2021-01-13 --to 2021-01-13" in str(caught.value)
        assert not caught.value.allow_retries
    assert files(platform) == before
    # As a neighbour it is as if it were not there.
    platform.run(["silver/technical"], after)
    without = with_tables_of(whole, new, "silver/candles")
    without.lake.path("silver/candles", key).unlink()
    without.run(["silver/technical"], after)
    path = f"silver/technical/session={after}/part.parquet"
    assert files(platform)[path] == files(without)[path] != files(whole)[path]
    states = Tables.of(platform.configuration, platform.lake).lineage(platform.bronze).states
    assert states("silver/candles", [key, after]) == {key: "blocked", after: "current"}


def test_fetching_again_adds_a_file_and_silver_stays_the_same(whole, new):
    platform = with_tables_of(whole, new, "bronze", "silver/candles")
    before = {p: p.read_bytes() for p in platform.lake.root.rglob("*.ndjson.gz")}
    result = platform.run([*BRONZE, "silver/candles"], "2020-12-23", "2020-12-24")
    after = {p: p.read_bytes() for p in platform.lake.root.rglob("*.ndjson.gz")}
    assert len(after) == len(before) + 2 * 3  # two sessions; two instruments and the news
    assert {p: after[p] for p in before} == before
    assert different(platform, whole, ("silver/candles",)) == []
    assert checks(result)["bronze/candles/fetched"].passed


def test_own_sessions_that_are_missing_are_an_error_and_missing_lookback_is_not(whole, new):
    platform = with_tables_of(whole, new)
    for key in ("2021-01-26", "2021-01-27"):
        shutil.copytree(whole.lake.path("silver/candles", key).parent, platform.lake.path("silver/candles", key).parent)
    platform.run(["silver/technical"], "2021-01-26", "2021-01-27")
    assert platform.lake.keys("silver/technical") == ["2021-01-26", "2021-01-27"]
    with pytest.raises(dg.Failure) as caught:
        platform.run(["silver/technical"], "2021-01-26", "2021-01-28")
    assert "silver/candles: no file for session 2021-01-28 (1 in all)" in str(caught.value)
    assert "Run `fx backfill --from 2021-01-28 --to 2021-01-28`" in str(caught.value)
    assert isinstance(caught.value.__cause__, MissingData)
    assert not caught.value.allow_retries


def test_a_source_with_too_many_bad_candles_stops_what_would_be_built_on_it_in_every_run(whole, new):
    platform = with_tables_of(whole, new, "bronze")
    key = "2020-12-22"
    told = ["fetched_at", "fetch_source", "instrument", "session"]
    good = platform.bronze.read(CANDLES, [key], ["GBP_USD"]).drop(columns=told)

    def fetch(rows: pd.DataFrame, second: int) -> None:
        at = pd.Timestamp(f"2030-01-01T00:00:0{second}Z").to_pydatetime()
        platform.bronze.append(CANDLES, "GBP_USD", key, "sample", rows, at)

    bad = good.assign(high=good["high"].where(good.index > 2, 0.5))
    # Fetched twice: that the source was asked again does not make its share smaller.
    for second in (1, 2):
        fetch(bad, second)
    result = platform.run(["silver/candles", "silver/technical"], key, must=False)
    assert not result.success
    assert not checks(result)["silver/candles/source_limits"].passed
    assert platform.lake.keys("silver/technical") == []
    with pytest.raises(dg.Failure, match=f"silver/candles: session {key} .* has problems, and nothing is built on it"):
        platform.run(["silver/technical"], key)
    # A corrected fetch mends it.
    fetch(good, 3)
    platform.run(["silver/candles", "silver/technical"], key)
    assert len(platform.lake.read("silver/candles", [key])[key]) == 48
    # A single bad candle is left out, and the rest is used.
    fetch(good.assign(high=good["high"].where(good.index != 3, 0.5)), 4)
    assert platform.run(["silver/candles", "silver/technical"], key).success
    assert len(platform.lake.read("silver/candles", [key])[key]) == 47
    assert len(platform.lake.read("silver/quarantine", [key])[key]) == 1


def test_labels_are_missing_for_the_newest_bar_and_across_the_weekend(whole):
    labels = whole.lake.table("gold/labels")
    newest = labels[labels["time"] == labels["time"].max()]
    assert newest["forward_return_60m"].isna().all()
    assert newest["large_move_60m"].isna().all()
    thursday = whole.lake.table("gold/labels", "2021-01-14", "2021-01-14")
    last = thursday["available_at"] == session_bounds("2021-01-14")[1]
    assert last.sum() == 2
    assert thursday.loc[last, "forward_return_60m"].isna().all()
    assert thursday.loc[~last, "forward_return_60m"].notna().all()
    # An ordinary session's last bar is decided by the first bar of the next one.
    monday = whole.lake.table("gold/labels", "2021-01-11", "2021-01-11")
    assert monday["forward_return_60m"].notna().all()
    # 26 hours after Tuesday evening it is Wednesday's session, and after Wednesday's the weekend.
    long = whole.lake.table("gold/labels", "2021-01-11", "2021-01-12", ["USD_JPY"])
    assert long["forward_return_1560m"].notna().all()


def test_a_forward_return_is_the_log_of_the_close_an_hour_later(whole):
    key = ["instrument", "time"]
    candles = whole.lake.table("silver/candles").set_index(key)["close"]
    labels = whole.lake.table("gold/labels").dropna(subset=["forward_return_60m"]).set_index(key)
    later = pd.MultiIndex.from_tuples([(symbol, time + pd.Timedelta("1h")) for symbol, time in labels.index])
    expected = np.log(candles.reindex(later).to_numpy() / candles.reindex(labels.index).to_numpy())
    np.testing.assert_allclose(labels["forward_return_60m"], expected, atol=1e-12)
    assert (labels["label_end_60m"] == labels["available_at"] + pd.Timedelta("1h")).all()


def test_lags_are_the_values_of_earlier_bars(whole):
    gold = whole.lake.table("gold/features", instruments=["USD_JPY"])
    for name in ("log_return_1", "move_adjusted", "range_adjusted"):
        for k in (1, 2, 3):
            np.testing.assert_array_equal(gold[f"{name}_lag{k}"].iloc[k:], gold[name].iloc[:-k])


def test_no_bar_knows_news_of_later_than_its_close(whole):
    gold = whole.lake.table("gold/features", instruments=["GBP_USD"])
    news = whole.lake.table("silver/news_sentiment")
    ends = {session_bounds(key)[1] for key in whole.lake.keys("gold/features")}
    hour = pd.Timedelta("1h")
    for bar in gold.itertuples():
        # What is known exactly when a session ends counts from the next session on.
        known = (news["available_at"] < bar.available_at) | (
            (news["available_at"] == bar.available_at) & (bar.available_at not in ends)
        )
        counted = news[known & (news["available_at"] > bar.available_at - hour)]
        assert bar.news_count_1h == counted.loc[counted["duplicate_of"] == "", "article_count"].sum()
    assert gold["news_count_1h"].max() > 0


def test_every_table_has_every_session(whole):
    keys = whole.lake.keys("silver/candles")
    assert {table: whole.lake.keys(table) for table in (*SILVER, *GOLD)} == dict.fromkeys(TABLES, keys)


def test_the_paths_are_hive_folders(whole):
    assert Path(whole.lake.path("gold/features", FIRST)).relative_to(whole.home).as_posix() == (
        f"lake/gold/features/session={FIRST}/part.parquet"
    )

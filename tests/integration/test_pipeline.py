"""The real assets over the sample: a range, two halves and single sessions make the same files, byte for byte."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from fx_assets.bronze.files import CANDLES
from fx_assets.errors import MissingData
from fx_assets.sessions import session_bounds
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
    for event in result.get_asset_materialization_events():
        figures = event.materialization.metadata
        by_partition[event.partition] = figures["dagster/partition_row_count"].value
        assert len(str(figures["content_hash"].value)) == 64
    assert by_partition["2020-12-24"] == 0
    assert by_partition["2020-12-28"] == 2 * 24
    assert all(check.passed for check in checks(result).values())


@pytest.mark.slow
def test_two_halves_make_the_same_bytes_as_one_range(whole, fetched, new):
    platform = with_tables_of(fetched, new, "bronze", "silver/candles")
    later = "2020-12-30"
    rest = [table for table in TABLES if table != "silver/candles"]
    platform.run(rest, FIRST, MIDDLE)
    platform.run(rest, later, LAST)
    assert different(platform, whole) == []
    assert len(files(whole)) == len(TABLES) * len(whole.lake.keys("silver/candles")) == 9 * 45


@pytest.mark.slow
def test_single_sessions_make_the_same_bytes_as_one_range(whole, new):
    platform = with_tables_of(whole, new, "bronze", *TABLES)
    rest = [table for table in TABLES if table != "silver/candles"]
    for key in SINGLE:
        for table in rest:
            platform.lake.path(table, key).unlink()
        platform.run(rest, key)
        assert different(platform, whole) == [], key


def test_the_same_range_again_makes_the_same_bytes(whole, new):
    platform = with_tables_of(whole, new, "bronze", *TABLES)
    platform.run(["silver/candles", "silver/volatility", "gold/labels"], MIDDLE, LAST)
    assert different(platform, whole) == []


def test_fetching_again_adds_a_file_and_silver_stays_the_same(whole, new):
    platform = with_tables_of(whole, new, "bronze", "silver/candles")
    before = {p: p.read_bytes() for p in platform.bronze.root.rglob("*.ndjson.gz")}
    result = platform.run([*BRONZE, "silver/candles"], "2020-12-23", "2020-12-24")
    after = {p: p.read_bytes() for p in platform.bronze.root.rglob("*.ndjson.gz")}
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


def test_a_source_with_too_many_impossible_rows_stops_what_would_be_built_on_it(whole, new):
    platform = with_tables_of(whole, new, "bronze")
    key = "2020-12-22"
    frame = platform.bronze.read(CANDLES, [key], ["GBP_USD"]).drop(columns=["fetched_at", "fetch_source", "instrument"])
    frame.loc[3, "high"] = 0.5
    # Fetched twice: that the source was asked again does not make its share smaller.
    for second in (1, 2):
        at = pd.Timestamp(f"2030-01-01T00:00:0{second}Z").to_pydatetime()
        platform.bronze.append(CANDLES, "GBP_USD", key, "sample", frame, at)
    result = platform.run(["silver/candles", "silver/technical"], key, must=False)
    check = checks(result)["silver/candles/possible_prices"]
    assert not result.success
    assert not check.passed
    assert (check.metadata["rejected"].value, check.metadata["share"].value) == (1, pytest.approx(1 / 48))
    assert platform.lake.keys("silver/technical") == []
    # One bad row in a hundred and more is left out, and the rest is used.
    result = platform.run(["silver/candles"], key, "2020-12-29")
    assert checks(result)["silver/candles/possible_prices"].passed
    assert len(platform.lake.read("silver/candles", [key])[key]) == 47


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
        assert bar.news_count_1h == counted["article_count"].sum()
    assert gold["news_count_1h"].max() > 0


def test_every_table_has_every_session(whole):
    keys = whole.lake.keys("silver/candles")
    assert {table: whole.lake.keys(table) for table in (*SILVER, *GOLD)} == dict.fromkeys(TABLES, keys)


def test_the_paths_are_hive_folders(whole):
    assert Path(whole.lake.path("gold/features", FIRST)).relative_to(whole.home).as_posix() == (
        f"lake/gold/features/session={FIRST}/part.parquet"
    )

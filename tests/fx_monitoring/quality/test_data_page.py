"""What is known about a session's data, and the page that says it; over tables written directly."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Configuration
from fx_assets.errors import MissingData
from fx_assets.lake import Lake
from fx_assets.lineage import Stamp
from fx_assets.partition_file import arrow_table, encode
from fx_assets.sessions import session_bounds
from fx_monitoring.quality import data_page
from fx_monitoring.quality.data_facts import CheckFact, gather
from fx_serving.client.home import Stores
from tests.fx_assets.small import configuration_of, write_config

SESSION, BEFORE = "2021-03-02", "2021-03-01"
LATER = datetime(2021, 3, 10, tzinfo=UTC)
SYMBOLS = ("GBP_USD", "USD_JPY")


@pytest.fixture(scope="module")
def configuration(tmp_path_factory) -> Configuration:
    with pytest.MonkeyPatch.context() as patch:
        return configuration_of(write_config(tmp_path_factory.mktemp("config")), patch)


def candles(session: str, source: str = "sample") -> pd.DataFrame:
    start, end = session_bounds(session)
    times = pd.date_range(start, end - timedelta(hours=1), freq="h").as_unit("us")
    rng = np.random.default_rng(3)
    parts = []
    for symbol in SYMBOLS:
        close = 1.3 * np.exp(np.cumsum(rng.normal(0, 1e-3, len(times))))
        parts.append(
            pd.DataFrame(
                {
                    "instrument": symbol,
                    "time": times,
                    "available_at": times + pd.Timedelta(hours=1),
                    "open": close,
                    "high": close * 1.001,
                    "low": close * 0.999,
                    "close": close,
                    "volume": 100.0,
                    "bid_close": close * 0.9999,
                    "ask_close": close * 1.0001,
                    "source": source,
                }
            )
        )
    return pd.concat(parts, ignore_index=True).sort_values(["time", "instrument"], ignore_index=True)


def features(session: str, missing: float = 0.0) -> pd.DataFrame:
    rows = candles(session)[["instrument", "time", "available_at"]]
    values = np.full(len(rows), 50.0)
    values[: int(missing * len(rows))] = np.nan
    return rows.assign(rsi_14=values, atr_14=1.0)


@pytest.fixture
def lake(tmp_path) -> Lake:
    made = Lake(tmp_path / "lake")
    for key in (BEFORE, SESSION):
        made.write("silver/candles", {key: candles(key)})
        made.write("gold/features", {key: features(key)})
    return made


def of(lake: Lake, configuration: Configuration, **changed):
    return gather(lake, configuration, SESSION, changed.pop("at", LATER), **changed)


def test_a_whole_session_is_complete_and_says_its_sources(lake, configuration):
    facts = of(lake, configuration)
    assert [(a.instrument, a.share, a.sources) for a in facts.arrived] == [(s, 1.0, {"sample": 24}) for s in SYMBOLS]
    status = {t.table: t.status for t in facts.tables}
    assert (status["silver/candles"], status["gold/labels"]) == ("pass", "not made")
    assert not [words for words in facts.worries if "bars" in words or "missing" in words]


def test_bars_that_are_not_there_and_not_due_are_told_apart(lake, configuration):
    rows = candles(SESSION, "oanda")
    lake.write("silver/candles", {SESSION: rows[~((rows["instrument"] == "USD_JPY") & (rows["time"].dt.hour == 3))]})
    facts = of(lake, configuration)
    assert "USD_JPY: 23 of 24 expected bars" in facts.worries
    early = of(lake, configuration, at=session_bounds(SESSION)[0] + timedelta(hours=2, minutes=30))
    assert [a.expected for a in early.arrived] == [2, 2]


def test_quarantined_candles_are_counted_once_each(lake, configuration):
    bad = candles(SESSION).iloc[:2].assign(reason="spike", copy=0, fetched_at=pd.Timestamp(LATER).as_unit("us"))
    lake.write("silver/quarantine", {SESSION: pd.concat([bad, bad.assign(reason="stale")], ignore_index=True)})
    facts = of(lake, configuration)
    assert {a.instrument: a.quarantined for a in facts.arrived} == {"GBP_USD": 1, "USD_JPY": 1}
    assert "GBP_USD: 1 candles in quarantine" in facts.worries
    assert set(facts.findings["what"]) >= {"spike", "stale"}


def test_a_feature_that_lacks_more_than_usual_is_named(lake, configuration):
    lake.write("gold/features", {SESSION: features(SESSION, missing=0.5)})
    facts = of(lake, configuration)
    worst = facts.missing[0]
    assert (worst.feature, worst.share, worst.usual, worst.unusual) == ("rsi_14", 0.5, 0.0, True)
    assert "rsi_14: 50.0% missing, 0.0% is usual" in facts.worries
    lake.write("gold/features", {BEFORE: features(BEFORE, missing=0.5)})
    assert not of(lake, configuration).missing[0].unusual, "it always lacks so many"


def test_a_table_with_problems_is_told(lake, configuration):
    columns = {"instrument": np.array(["GBP_USD"], object), "time": np.array([0], "datetime64[us]")}
    content = encode(arrow_table(columns), Stamp("c", problems=("close: 3 values below 0",)))
    lake.store.write(lake.where("silver/technical", SESSION), content)
    facts = of(lake, configuration)
    assert {t.table: t.status for t in facts.tables}["silver/technical"] == "miss"
    assert "silver/technical: close: 3 values below 0" in facts.worries


def test_a_session_without_anything_is_a_page_too(tmp_path, configuration):
    stores = Stores(tmp_path)
    path = data_page.make_report(stores, Lake(tmp_path / "none"), configuration, SESSION, at=LATER)
    assert "things need a look" in path.read_text()


def test_the_page_holds_everything_and_old_pages_go(lake, configuration, tmp_path):
    stores = Stores(tmp_path)
    failed = CheckFact("silver/candles", "spikes", False, LATER)
    path = data_page.make_report(stores, lake, configuration, SESSION, keep=1, checks=[failed], at=LATER)
    text = path.read_text()
    for words in ("Data quality, session 2021-03-02", "silver/candles", "sample 24", "spikes", "100.0%"):
        assert words in text
    assert path == stores.reports / "data-quality" / "data-quality-2021-03-02.html"
    older = data_page.make_report(stores, lake, configuration, BEFORE, keep=1, at=LATER)
    assert sorted(p.name for p in path.parent.iterdir()) == [older.name, path.name], "what was just made stays"
    data_page.make_report(stores, lake, configuration, SESSION, keep=1, at=LATER)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    tables = data_page.markdown(of(lake, configuration))
    assert tables["completeness"].startswith("| instrument | expected | arrived |")


def test_the_running_session_tells_how_far_it_is_behind(lake, configuration):
    at = session_bounds(SESSION)[0] + timedelta(hours=10)
    facts = of(lake, configuration, at=at)
    assert {lag.verdict for lag in facts.lags["silver/candles"]} == {"fresh"}
    assert of(lake, configuration).lags == {}


@pytest.mark.parametrize("session", ["../../../etc", "2021-3-2", "20210302", "yesterday"])
def test_what_is_no_session_is_refused_in_words(lake, configuration, tmp_path, session):
    with pytest.raises(MissingData, match="is not a session"):
        data_page.make_report(Stores(tmp_path), lake, configuration, session, at=LATER)

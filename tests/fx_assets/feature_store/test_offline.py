"""Our reading of gold gives what Feast's own DuckDB store gives, value for value."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import MissingData
from fx_assets.feature_store.gold_files import newest_at
from fx_assets.feature_store.repository import apply, open_store
from fx_assets.feature_store.services import service_features
from fx_assets.lake import Lake
from tests.fx_assets.feature_store.gold import bits, write_gold

SERVICE = "move_60m_v1"
SYMBOLS = ["EUR_USD", "GBP_USD"]


@pytest.fixture
def configuration():
    return load_configuration()


@pytest.fixture
def gold(configuration, tmp_path) -> pd.DataFrame:
    """Four sessions, each without rows for ten hours."""
    lake = Lake(tmp_path / "lake")
    write_gold(lake, configuration, SYMBOLS, "2021-03-01", 4)
    for key, frame in lake.read("gold/features", lake.keys("gold/features")).items():
        lake.write("gold/features", {key: frame[~frame["time"].dt.hour.between(4, 13)]})
    return lake.table("gold/features")


@pytest.fixture
def store(configuration, gold, tmp_path):
    made = open_store(tmp_path, configuration)
    apply(made, tmp_path / "lake", configuration)
    return made


@pytest.fixture
def stock(store):
    """The same registry and files, read by Feast's own store."""
    from feast import FeatureStore, RepoConfig

    config = RepoConfig(
        project=store.config.project,
        provider="local",
        registry=store.config.registry.path,
        offline_store={"type": "duckdb"},
        online_store=store.config.online_store.model_dump(),
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


@pytest.fixture
def asked(gold) -> pd.DataFrame:
    """Decisions on, just before, between and long after the rows, and of instruments that are not there."""
    rng = np.random.default_rng(5)
    rows = gold.sample(100, random_state=2)
    late = pd.to_timedelta(rng.choice([-1, 0, 1, 600, 7199, 7200, 7201, 21600, 21601, 10**6], len(rows)), unit="s")
    frame = pd.DataFrame({"instrument": rows["instrument"], "event_timestamp": rows["available_at"] + late})
    frame["instrument"] = frame["instrument"].where(rng.random(len(frame)) > 0.1, "XAU_USD")
    frame["event_timestamp"] = frame["event_timestamp"].dt.as_unit("us")
    return frame.assign(row=np.arange(len(frame), dtype=float)).reset_index(drop=True)


def test_the_join_is_that_of_feasts_own_store(store, stock, asked):
    assert type(stock._get_provider().offline_store).__name__ == "DuckDBOfflineStore"
    names = [name for name, _ in service_features(store, SERVICE)]
    service = store.get_feature_service(SERVICE)
    ours = store.get_historical_features(entity_df=asked, features=service).to_df()
    theirs = stock.get_historical_features(entity_df=asked, features=service).to_df().sort_values("row")
    assert list(ours.columns) == list(theirs.columns)
    assert ours["row"].tolist() == asked["row"].tolist()  # in the order asked
    assert ours["instrument"].tolist() == theirs["instrument"].tolist()
    assert bits(ours[names]) == bits(theirs[names])
    views = {
        view: [n for n, v in service_features(store, SERVICE) if v == view] for view in ("technical", "news_signals")
    }
    there = {view: ours[listed].notna().any(axis=1).sum() for view, listed in views.items()}
    assert 0 < there["technical"] < there["news_signals"] < len(asked)  # some expired, some not


def test_full_names_and_arrow_too(store, stock, asked):
    refs = ["technical:rsi_14", "lags:log_return_1_lag1"]
    options = {"entity_df": asked, "features": refs, "full_feature_names": True}
    ours = store.get_historical_features(**options).to_arrow().to_pandas()
    theirs = stock.get_historical_features(**options).to_df().sort_values("row")
    assert list(ours.columns) == list(theirs.columns)
    assert store.get_historical_features(**options).full_feature_names
    assert not store.get_historical_features(**(options | {"full_feature_names": False})).full_feature_names
    for name in ("technical__rsi_14", "lags__log_return_1_lag1"):
        assert bits(ours[name]) == bits(theirs[name])


def test_no_decisions_give_no_rows(store, asked):
    found = store.get_historical_features(entity_df=asked.iloc[:0], features=["technical:rsi_14"]).to_df()
    assert len(found) == 0
    assert "rsi_14" in found


@pytest.mark.parametrize("moment", ["1990-01-01", "2090-01-01"])
def test_decisions_far_from_all_sessions_have_no_features(store, asked, moment):
    far = asked.assign(event_timestamp=pd.Timestamp(moment, tz="UTC").as_unit("us"))
    found = store.get_historical_features(entity_df=far, features=["technical:rsi_14"]).to_df()
    assert len(found) == len(asked)
    assert found["rsi_14"].isna().all()


def test_no_session_at_all_is_told(configuration, tmp_path, asked):
    store = open_store(tmp_path / "other", configuration)
    apply(store, tmp_path / "nowhere", configuration)
    with pytest.raises(MissingData, match=r"no session has been made\. Run `fx backfill"):
        store.get_historical_features(entity_df=asked, features=["technical:rsi_14"]).to_df()


def test_feasts_own_materialization_brings_the_same_rows_online(store, gold, monkeypatch):
    names = [name for name, view in service_features(store, SERVICE) if view == "technical"]
    start, end = datetime(2021, 3, 1, tzinfo=UTC), gold["available_at"].iloc[-30].to_pydatetime()
    store.materialize(start, end, feature_views=["technical"])
    monkeypatch.setenv("FX_CLOCK", end.isoformat())
    answer = store.get_online_features(
        features=[f"technical:{name}" for name in names], entity_rows=[{"instrument": s} for s in SYMBOLS]
    ).to_df()
    newest = gold[gold["available_at"] <= end].groupby("instrument").tail(1).set_index("instrument").loc[SYMBOLS]
    assert bits(answer[names].astype("float64")) == bits(newest[names])


def test_the_newest_row_not_after_a_time():
    keys, times = np.array(["a", "a", "a", "b"], object), np.array([10, 20, 20, 5])
    asked = [("a", 9), ("a", 10), ("a", 20), ("a", 99), ("b", 4), ("b", 5), ("c", 50)]
    found = newest_at(keys, times, np.array([k for k, _ in asked], object), np.array([t for _, t in asked]))
    assert found.tolist() == [-1, 0, 2, 2, -1, 3, -1]
    assert newest_at(keys[:0], times[:0], keys, times).tolist() == [-1] * 4

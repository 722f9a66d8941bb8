"""Feast over the real gold tables: what is online is what gold says, and training never sees what was not known."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fx_assets.feature_store.assets import parity_problems
from fx_assets.feature_store.online import read_online, training_rows, write_newest
from fx_assets.feature_store.repository import TTL, objects, open_store, service_name, views
from fx_assets.lake import Lake
from fx_serving.client.snapshot import FeatureBlob, blob_path
from tests.fx_assets.small import Platform, checks

SYMBOLS = ["GBP_USD", "USD_JPY"]


@pytest.fixture
def store(history, tmp_path):
    """A store of its own over copies of the newest gold sessions."""
    for key in history.lake.keys("gold/features")[-3:]:
        source = history.lake.path("gold/features", key)
        place = Lake(tmp_path / "lake").path("gold/features", key)
        place.parent.mkdir(parents=True)
        shutil.copy(source, place)
    made = open_store(tmp_path)
    made.apply(objects(tmp_path / "lake", history.configuration))
    return made


@pytest.fixture
def gold(history) -> pd.DataFrame:
    return history.lake.table("gold/features", history.lake.keys("gold/features")[-3])


def bits(values) -> list[int]:
    return np.ascontiguousarray(values, dtype="float64").view(np.int64).ravel().tolist()


def newest(gold: pd.DataFrame) -> pd.DataFrame:
    return gold.sort_values("available_at").groupby("instrument").tail(1)


def test_every_model_has_a_service_over_both_views(store):
    service = store.get_feature_service(service_name("move"))
    assert [p.name for p in service.feature_view_projections] == list(views()) == list(TTL)


def test_nothing_is_online_before_it_is_written(store):
    found = read_online(store, "market_features", SYMBOLS)
    assert found["available_at"].isna().all()
    assert found[views()["market_features"]].isna().all().all()


def test_the_newest_row_goes_online_to_the_last_bit(store, gold):
    rows = newest(gold)
    for view, names in views().items():
        assert write_newest(store, view, rows) == 2
        found = read_online(store, view, rows["instrument"].tolist())
        assert found["available_at"].tolist() == rows["available_at"].tolist()
        assert bits(found[names]) == bits(rows[names])
    assert write_newest(store, "market_features", rows.iloc[:0]) == 0


def test_an_older_event_never_replaces_a_newer_one_and_a_correction_does(store, gold):
    view, rows = "market_features", newest(gold)
    name = views()[view][0]
    assert write_newest(store, view, rows) == 2
    older = rows.assign(available_at=rows["available_at"] - pd.Timedelta("1h"), **{name: 7.0})
    assert write_newest(store, view, older) == 0
    assert read_online(store, view, SYMBOLS)[name].ne(7.0).all()
    corrected = rows.assign(**{name: 5.0})
    mixed = pd.concat([corrected[corrected["instrument"] == "GBP_USD"], older[older["instrument"] == "USD_JPY"]])
    assert write_newest(store, view, mixed) == 1
    assert (read_online(store, view, SYMBOLS)[name] == 5.0).tolist() == [True, False]


def test_a_missing_value_stays_missing(store, gold):
    view, rows = "market_features", newest(gold)
    name = views()[view][3]
    write_newest(store, view, rows.assign(**{name: np.nan}))
    assert read_online(store, view, SYMBOLS)[name].isna().all()


def test_one_changed_bit_is_found(store, gold):
    rows = newest(gold)
    for view in views():
        write_newest(store, view, rows)

    def online() -> dict[str, pd.DataFrame]:
        return {view: read_online(store, view, rows["instrument"].tolist()) for view in views()}

    assert parity_problems(rows, online()) == []
    stored = online()
    name = views()["news_signals"][0]
    value = stored["news_signals"][name].to_numpy(float)[1]
    stored["news_signals"].loc[1, name] = np.nextafter(value, np.inf)
    symbol = rows["instrument"].iloc[1]
    assert parity_problems(rows, stored) == [f"{symbol}.{name}"]
    stored = online()
    stored["market_features"].loc[0, "rsi_14"] = np.nan
    assert parity_problems(rows, stored) == [f"{rows['instrument'].iloc[0]}.rsi_14"]


def decisions(*times: pd.Timestamp) -> pd.DataFrame:
    frame = pd.DataFrame({"decision_time": times}).assign(instrument="GBP_USD", label=1.0)
    return frame.assign(decision_time=frame["decision_time"].dt.as_unit("us"))


def test_a_decision_gets_the_row_of_its_bar_to_the_last_bit_in_order(store, gold):
    rows = gold[gold["instrument"] == "GBP_USD"]
    asked = decisions(*rows["available_at"].iloc[::-5])
    joined = training_rows(store, "move", asked)
    assert joined["decision_time"].is_monotonic_increasing
    assert joined["decision_time"].dtype == "datetime64[us, UTC]"
    same = rows.set_index("available_at").loc[joined["decision_time"]]
    for names in views().values():
        assert bits(joined[names]) == bits(same[names])
    assert (joined["label"] == 1.0).all()


def test_the_future_is_never_seen_and_old_features_expire(store, gold):
    rows = gold[gold["instrument"] == "GBP_USD"].set_index("available_at")
    last, before = rows.index[-1], rows.index[-2]
    second = pd.Timedelta("1us")
    asked = decisions(
        last - second,
        last,
        last + TTL["market_features"],
        last + TTL["market_features"] + second,
        last + TTL["news_signals"] + second,
        rows.index[0] - pd.Timedelta("60D"),
    )
    joined = training_rows(store, "move", asked).set_index("decision_time")
    market, news = views()["market_features"], views()["news_signals"]
    assert bits(joined.loc[last - second, market]) == bits(rows.loc[before, market])
    assert bits(joined.loc[last, market]) == bits(rows.loc[last, market])
    assert bits(joined.loc[last + TTL["market_features"], market]) == bits(rows.loc[last, market])
    late = joined.loc[last + TTL["market_features"] + second]
    assert late[market].isna().to_numpy().all()
    assert bits(late[news]) == bits(rows.loc[last, news])
    expired = joined.loc[last + TTL["news_signals"] + second]
    assert expired[[*market, *news]].isna().to_numpy().all()
    assert joined[[*market, *news]].iloc[0].isna().to_numpy().all()


def test_the_asset_publishes_blobs_equal_to_online_and_gold(history: Platform, gold):
    result = history.run(["online_features"])
    assert checks(result)["online_features/online_equals_offline"].passed
    store, features = open_store(history.home), history.home / "serving" / "features"
    recent = history.lake.table("gold/features", history.lake.keys("gold/features")[-8])
    for view, names in views().items():
        online = read_online(store, view, SYMBOLS).set_index("instrument")
        for symbol in SYMBOLS:
            blob = FeatureBlob.read(blob_path(features, view, symbol))
            rows = recent[recent["instrument"] == symbol].tail(120).set_index("available_at")
            assert blob.names == names
            assert [row.time for row in blob.rows] == rows.index.tolist()
            assert bits([row.values for row in blob.rows]) == bits(rows[names])
            assert bits(blob.rows[-1].values) == bits(online[names].loc[symbol])


def test_nothing_in_gold_is_told_with_the_command_that_makes_it(history, tmp_path, instance):
    from dagster import Failure

    platform = Platform(Path(tmp_path), history.configuration, instance)
    with pytest.raises(Failure, match=r"gold/features: .*run `fx backfill"):
        platform.run(["online_features"])

"""Feast over the real gold tables: what is online is what gold says, and training never sees what was not known."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fx_assets.feature_store.online import newest_rows, read_online, stored_online, write_newest
from fx_assets.feature_store.parity import parity_problems, told
from fx_assets.feature_store.repository import apply, open_store, ttls
from fx_assets.feature_store.services import service_features, service_for
from fx_assets.feature_store.training import training_rows
from fx_assets.lake import Lake
from fx_assets.lineage import CODE_VERSION
from fx_assets.schemas import model_features, views
from fx_serving.client.snapshot import FeatureBlob, blob_path
from tests.fx_assets.feature_store.gold import bits
from tests.fx_assets.small import Platform, checks

SYMBOLS = ["GBP_USD", "USD_JPY"]
PARITY = "online_features/online_equals_offline"


@pytest.fixture
def store(history, tmp_path):
    """A store of its own over copies of the newest gold sessions."""
    for key in history.lake.keys("gold/features")[-3:]:
        source = history.lake.path("gold/features", key)
        place = Lake(tmp_path / "lake").path("gold/features", key)
        place.parent.mkdir(parents=True)
        shutil.copy(source, place)
    made = open_store(tmp_path, history.configuration)
    apply(made, tmp_path / "lake", history.configuration)
    return made


@pytest.fixture
def features(history) -> dict[str, list[str]]:
    return views(history.configuration)


@pytest.fixture
def gold(history) -> pd.DataFrame:
    return history.lake.table("gold/features", history.lake.keys("gold/features")[-3])


@pytest.fixture
def service(store, history) -> str:
    return service_for(store, "move", model_features(history.configuration, "move"))


def test_there_is_a_view_for_each_group_and_a_service_for_each_model(store, features, service, history):
    registered = {view.name: [field.name for field in view.features] for view in store.list_feature_views()}
    assert registered == features
    assert {view.name: view.ttl for view in store.list_feature_views()} == ttls(history.configuration)
    assert service == "move_v1"
    assert service_features(store, service) == model_features(history.configuration, "move")


def test_nothing_is_online_before_it_is_written(store, features):
    for view, names in features.items():
        found = read_online(store, view, SYMBOLS)
        assert found["available_at"].isna().all()
        assert found[names].isna().all(axis=None)


def test_the_newest_rows_are_found_wherever_they_lie(history, gold):
    lake, keys = history.lake, history.lake.keys("gold/features")
    for first, last in ((None, None), (keys[-3], None), (keys[0], keys[5])):
        rows = lake.table("gold/features", first, last)
        wanted = rows.sort_values("available_at").groupby("instrument").tail(1)
        found = newest_rows(lake, first, last).set_index("instrument").loc[SYMBOLS]
        pd.testing.assert_frame_equal(found, wanted.set_index("instrument").loc[SYMBOLS], check_exact=True)


def decisions(*times: pd.Timestamp) -> pd.DataFrame:
    frame = pd.DataFrame({"decision_time": times}).assign(instrument="GBP_USD", label=1.0)
    return frame.assign(decision_time=frame["decision_time"].dt.as_unit("us"))


def test_a_decision_gets_the_row_of_its_bar_to_the_last_bit_in_order(store, gold, service):
    rows = gold[gold["instrument"] == "GBP_USD"]
    asked = decisions(*rows["available_at"].iloc[::-5])
    joined = training_rows(store, service, asked)
    assert joined["decision_time"].is_monotonic_increasing
    assert joined["decision_time"].dtype == "datetime64[us, UTC]"
    same = rows.set_index("available_at").loc[joined["decision_time"]]
    names = [name for name, _ in service_features(store, service)]
    assert bits(joined[names]) == bits(same[names])
    assert (joined["label"] == 1.0).all()


def test_the_future_is_never_seen_and_old_features_expire(store, gold, service, history):
    rows = gold[gold["instrument"] == "GBP_USD"].set_index("available_at")
    last, before = rows.index[-1], rows.index[-2]
    step, lifetimes = pd.Timedelta("1us"), ttls(history.configuration)
    market, news = lifetimes["technical"], lifetimes["news_signals"]
    asked = decisions(
        last - step,
        last,
        last + market,
        last + market + step,
        last + news + step,
        rows.index[0] - pd.Timedelta("60D"),
    )
    joined = training_rows(store, service, asked).set_index("decision_time")
    listed = service_features(store, service)
    of_news = [name for name, view in listed if view == "news_signals"]
    others = [name for name, view in listed if view != "news_signals"]
    assert bits(joined.loc[last - step, others]) == bits(rows.loc[before, others])
    for moment in (last, last + market):
        assert bits(joined.loc[moment, others]) == bits(rows.loc[last, others])
    late = joined.loc[last + market + step]
    assert late[others].isna().to_numpy().all()
    assert bits(late[of_news]) == bits(rows.loc[last, of_news])
    expired = joined.loc[last + news + step]
    assert expired[[*others, *of_news]].isna().to_numpy().all()
    assert joined[[*others, *of_news]].iloc[0].isna().to_numpy().all()


def test_one_changed_bit_or_an_older_row_is_found(store, gold, features):
    newest = gold.sort_values("available_at").groupby("instrument").tail(1)
    for view in features:
        write_newest(store, view, newest)
    symbols = newest["instrument"].tolist()

    def online() -> dict[str, pd.DataFrame]:
        return {view: stored_online(store, view, symbols) for view in features}

    assert parity_problems(newest, online(), features) == []
    stored, name = online(), features["news_signals"][0]
    value = stored["news_signals"][name].to_numpy(float)[1]
    stored["news_signals"].loc[1, name] = np.nextafter(value, np.inf)
    assert parity_problems(newest, stored, features) == [f"{symbols[1]}.{name}"]
    stored = online()
    stored["technical"].loc[0, "rsi_14"] = np.nan
    assert parity_problems(newest, stored, features) == [f"{symbols[0]}.rsi_14"]
    later = newest.assign(available_at=newest["available_at"] + pd.Timedelta("1h"))
    problems = parity_problems(later, {"lags": online()["lags"]}, features)
    assert len(problems) == 2
    assert "lags: the row of" in problems[0]
    assert told([]) == ["none"]
    assert told(["x"] * 60)[-1] == "and 10 more"


def test_the_asset_publishes_blobs_equal_to_online_and_gold(history: Platform, gold, features):
    result = history.run(["online_features"])
    assert checks(result)[PARITY].passed
    store, folder = open_store(history.home, history.configuration), history.home / "serving" / "features"
    recent = history.lake.table("gold/features", history.lake.keys("gold/features")[-8])
    for view, names in features.items():
        online = stored_online(store, view, SYMBOLS).set_index("instrument")
        for symbol in SYMBOLS:
            blob = FeatureBlob.read(blob_path(folder, view, symbol))
            rows = recent[recent["instrument"] == symbol].tail(120).set_index("available_at")
            assert (blob.names, blob.code) == (names, CODE_VERSION)
            assert [row.time for row in blob.rows] == rows.index.tolist()
            assert bits([row.values for row in blob.rows]) == bits(rows[names])
            assert bits(blob.rows[-1].values) == bits(online[names].loc[symbol])


def test_blobs_of_views_that_are_no_more_are_removed_and_only_ours(history: Platform, features):
    folder = history.home / "serving" / "features"
    moment = pd.Timestamp("2022-03-04T22:00Z").to_pydatetime()
    gone, foreign = (FeatureBlob.build("market_features", s, ["a"], [(moment, [1.0])]) for s in ("GBP_USD", "XAU_EUR"))
    for blob in (gone, foreign):
        blob.write(folder)
    history.run(["online_features"])
    assert not blob_path(folder, "market_features", "GBP_USD").exists()
    assert blob_path(folder, "market_features", "XAU_EUR").exists()
    assert all(blob_path(folder, view, symbol).exists() for view in features for symbol in SYMBOLS)


def test_a_view_that_is_not_registered_fails_at_once_with_the_remedy(history: Platform, tmp_path, instance):
    from dagster import Failure

    shutil.copytree(history.home / "lake", tmp_path / "lake")
    platform = Platform(Path(tmp_path), history.configuration, instance)
    with pytest.raises(Failure, match=r"no view technical\. Materialize feature_registry") as caught:
        platform.run(["online_features"])
    assert caught.value.allow_retries is False


def test_the_parity_check_by_itself_finds_what_has_changed_since(history: Platform, features):
    history.run(["online_features"])
    parity = history.definitions.resolve_asset_graph().asset_check_keys
    (key,) = (key for key in parity if key.name == "online_equals_offline")

    def check():
        job = history.definitions.resolve_implicit_global_asset_job_def()
        result = job.get_subset(asset_selection=set(), asset_check_selection={key}).execute_in_process(
            instance=history.instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        )
        return checks(result)[PARITY]

    assert check().passed
    store = open_store(history.home, history.configuration)
    newest = newest_rows(history.lake)
    name = features["lags"][0]
    write_newest(store, "lags", newest.assign(**{name: 0.125}))
    found = check()
    assert not found.passed
    different: Any = found.metadata["different"].value
    assert sorted(different) == [f"{symbol}.{name}" for symbol in SYMBOLS]
    write_newest(store, "lags", newest)
    assert check().passed


def test_nothing_in_gold_is_told_with_the_command_that_makes_it(history, tmp_path, instance):
    from dagster import Failure

    platform = Platform(Path(tmp_path), history.configuration, instance)
    with pytest.raises(Failure, match=r"gold/features: .*run `fx backfill"):
        platform.run(["online_features"])

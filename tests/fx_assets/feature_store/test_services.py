"""Versions of feature services, the registry in a file or a database, and the lifetimes of rows."""

from datetime import timedelta

import pandas as pd
import pytest

from fx_assets import schemas
from fx_assets.configuration import load_configuration
from fx_assets.configuration.data import FeatureStore as Settings
from fx_assets.errors import ConfigError, DataError, StoreError
from fx_assets.feature_store.repository import apply, open_store, ttls
from fx_assets.feature_store.services import service_features, service_for, service_of
from fx_assets.feature_store.training import training_rows
from fx_assets.lake import Lake
from tests.fx_assets.feature_store.gold import bits, write_gold
from tests.servers.postgres import PASSWORD, postgres_server

MODEL = "move_60m"
URL = "postgresql+psycopg2://fx:hunter2-hunter2@127.0.0.1:9/fx"


def configured(**settings):
    found = load_configuration()
    data = found.data.model_copy(update={"feature_store": Settings.model_validate(settings)})
    return found.model_copy(update={"data": data})


@pytest.fixture(params=("file", "sql"))
def configuration(request):
    return configured(registry=request.param)


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def gold(configuration, lake) -> pd.DataFrame:
    return write_gold(lake, configuration, ["GBP_USD"], "2021-03-01", 3)


@pytest.fixture
def model_of(monkeypatch):
    """model_of(list) -> from now on every model is made of these features."""
    return lambda features: monkeypatch.setattr(schemas, "model_features", lambda configuration, model: features)


def test_a_service_gets_a_new_version_when_its_list_changes_and_old_ones_stay(
    configuration, lake, gold, tmp_path, model_of
):
    whole = schemas.model_features(configuration, MODEL)
    less, moved = whole[:-1], [*whole[1:], whole[0]]
    store = open_store(tmp_path, configuration)
    assert apply(store, lake.root, configuration)[MODEL] == f"{MODEL}_v1"
    assert apply(store, lake.root, configuration)[MODEL] == f"{MODEL}_v1"
    model_of(less)
    assert apply(store, lake.root, configuration)[MODEL] == f"{MODEL}_v2"
    again = open_store(tmp_path, configuration)  # what another process finds
    assert apply(again, lake.root, configuration)[MODEL] == f"{MODEL}_v2"
    model_of(whole)
    assert apply(again, lake.root, configuration)[MODEL] == f"{MODEL}_v3"
    assert service_features(again, f"{MODEL}_v1") == whole == service_features(again, f"{MODEL}_v3")
    assert service_for(again, MODEL, less) == f"{MODEL}_v2"
    assert service_for(again, MODEL, whole) == f"{MODEL}_v3"
    with pytest.raises(StoreError, match=rf"no service of {MODEL} has its 1 features \(there are {MODEL}_v1, "):
        service_for(again, MODEL, moved[:1])
    assert service_of(again, MODEL, "4", [name for name, _ in whole]) == f"{MODEL}_v3"
    assert service_of(again, MODEL, "4", [name for name, _ in less]) == f"{MODEL}_v2"
    with pytest.raises(StoreError, match=r"has the 1 features that version 4 was trained with .*train move_60m again"):
        service_of(again, MODEL, "4", ["rsi_14"])
    with pytest.raises(StoreError, match="no service nothing_v1"):
        training_rows(again, "nothing_v1", gold[["instrument"]].assign(decision_time=gold["available_at"]))


def test_an_old_service_still_answers_when_its_features_have_left_the_configuration(
    configuration, lake, gold, tmp_path, model_of, monkeypatch
):
    whole, before = schemas.model_features(configuration, MODEL), schemas.views(configuration)
    store = open_store(tmp_path, configuration)
    apply(store, lake.root, configuration)
    gone = before["technical"][0]
    monkeypatch.setattr(schemas, "views", lambda _: {**before, "technical": before["technical"][1:]})
    model_of([pair for pair in whole if pair[0] != gone])
    assert apply(store, lake.root, configuration)[MODEL] == f"{MODEL}_v2"
    # The newest session has been made without the feature.
    keys = lake.keys("gold/features")
    lake.write("gold/features", {keys[-1]: lake.read("gold/features", keys[-1:])[keys[-1]].drop(columns=gone)})
    asked = gold[["instrument", "available_at"]].rename(columns={"available_at": "decision_time"})
    found = training_rows(store, f"{MODEL}_v1", asked)
    wanted = gold[gone].where(gold["available_at"] <= gold["available_at"].iloc[47])
    assert bits(found[gone]) == bits(wanted)
    assert gone not in training_rows(store, f"{MODEL}_v2", asked)
    for key in keys[:-1]:
        lake.write("gold/features", {key: lake.read("gold/features", [key])[key].drop(columns=gone)})
    with pytest.raises(DataError, match=f"no session from 2021-03-01 to 2021-03-03 has {gone}"):
        training_rows(store, f"{MODEL}_v1", asked)


def test_lifetimes_follow_the_longest_bar_and_data_yaml():
    found = configured()
    assert set(ttls(found).values()) == {timedelta(hours=2), timedelta(hours=6)}
    assert ttls(found)["news_signals"] == timedelta(hours=6)
    instruments = dict(found.instruments.instruments)
    name = next(iter(instruments))
    instruments[name] = instruments[name].model_copy(update={"granularity": "D"})
    daily = found.model_copy(update={"instruments": found.instruments.model_copy(update={"instruments": instruments})})
    assert set(ttls(daily).values()) == {timedelta(hours=48)}
    own = ttls(configured(ttl_minutes={"default": 30, "lags": 45}))
    assert (own["technical"], own["lags"], own["news_signals"]) == tuple(timedelta(minutes=m) for m in (30, 45, 360))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{tecnical: 5}", r"ttl_minutes\.tecnical: no such feature view \(value 5\)\. Use default or one of technical"),
        ("{lags: 0}", r"ttl_minutes\.lags: .*greater than 0"),
        ("{default: 527041}", r"ttl_minutes\.default: .*less than or equal to 527040"),
        ("{default: .inf}", r"ttl_minutes\.default: .*less than or equal to 527040"),
        ("{default: .nan}", r"ttl_minutes\.default: "),
    ],
)
def test_a_wrong_lifetime_is_refused_where_data_yaml_is_read(tmp_path, monkeypatch, given, told):
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    (tmp_path / "data.yaml").write_text(f"feature_store: {{ttl_minutes: {given}}}\n")
    with pytest.raises(ConfigError, match=rf"data\.yaml: feature_store\.{told}"):
        load_configuration()


def test_a_registry_that_does_not_answer_is_told_without_its_url(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_REGISTRY_URL", URL)
    with pytest.raises(StoreError, match=r"feature registry .*OperationalError.*FX_REGISTRY_URL") as caught:
        open_store(tmp_path, configured(registry="sql")).list_feature_services()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense:hunter2", "postgresql+nodriver://fx:hunter2@host/fx", "oracle://hunter2@h"])
def test_a_registry_url_that_cannot_be_used_is_told_without_it(tmp_path, monkeypatch, url):
    monkeypatch.setenv("FX_REGISTRY_URL", url)
    with pytest.raises(ConfigError, match="FX_REGISTRY_URL: not a database URL of an installed driver") as caught:
        open_store(tmp_path, configured(registry="sql"))
    assert "hunter2" not in str(caught.value)


def test_a_registry_in_a_database_that_the_variable_names(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_REGISTRY_URL", f"sqlite:///{tmp_path / 'shared.sqlite'}")
    found = configured(registry="sql")
    named = apply(open_store(tmp_path / "one", found), tmp_path / "lake", found)
    assert {s.name for s in open_store(tmp_path / "two", found).list_feature_services()} == set(named.values())


def test_a_registry_in_postgres_shared_by_two_homes_without_the_password_in_sight(tmp_path, monkeypatch, program):
    found = configured(registry="sql")
    with postgres_server(program) as url:
        for given in (url, url.replace("+psycopg2", "")):  # the driver is ours to choose
            monkeypatch.setenv("FX_REGISTRY_URL", given)
            store = open_store(tmp_path / "one", found)
            named = apply(store, tmp_path / "lake", found)
            assert named[MODEL] == f"{MODEL}_v1"
            other = open_store(tmp_path / "two", found)
            assert service_features(other, named[MODEL]) == schemas.model_features(found, MODEL)
            assert PASSWORD not in repr(store.config) + str(store.config.registry)
        monkeypatch.setenv("FX_REGISTRY_URL", url.replace(PASSWORD, "wrong-secret"))
        with pytest.raises(StoreError, match=r"feature registry .*mend user, password and host") as caught:
            open_store(tmp_path / "one", found)
    assert "wrong-secret" not in str(caught.value)
    assert all(PASSWORD.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

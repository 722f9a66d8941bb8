"""Batch inference beside a running service on the same home: the same champion, the same rows, the same answers."""

import shutil
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from fx_assets.errors import StoreError
from fx_assets.feature_store.online import newest_rows
from fx_assets.models import batch, promotion
from fx_serving.client.home import Stores
from tests.fx_assets.small import checks
from tests.servers.serving import start_service, wait_until

pytestmark = pytest.mark.slow(30)
# The newest gold rows of the two instruments are of the bar that closes then.
INSTRUMENTS = ["GBP_USD", "USD_JPY"]


@pytest.fixture(scope="module")
def newest(walked) -> pd.Timestamp:
    return newest_rows(walked.lake)["available_at"].min()


@pytest.fixture
def at(newest, monkeypatch) -> pd.Timestamp:
    """The data clock stands a few minutes after the newest row."""
    moment = newest + timedelta(minutes=5)
    monkeypatch.setenv("FX_CLOCK", moment.isoformat())
    return moment


@pytest.fixture
def home(walked, tmp_path):
    """A copy of the home, whose stores a test may change."""
    shutil.copytree(walked.home, tmp_path / "home", ignore=shutil.ignore_patterns("batch_predictions"))
    return Stores(tmp_path / "home")


def predict(walked, stores, at) -> batch.Batch:
    return batch.predict(stores, type(walked.lake)(stores.lake), walked.configuration, "move", at.to_pydatetime())


def test_the_answers_are_the_services_to_the_last_bit(walked, home, at):
    from fx_assets.definitions import build_definitions

    definitions = build_definitions(walked.configuration, home.home)
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={_key("online_features")})
    assert job.execute_in_process(instance=walked.instance).success
    found = predict(walked, home, at)
    assert found.refused == {}
    assert found.rows["instrument"].tolist() == INSTRUMENTS
    assert set(found.rows["version"]) == {"2"}
    with start_service(home.home, clock=at.isoformat()) as service:
        service.deploy("2", model="move")
        for row in found.rows.to_dict("records"):
            said = wait_until(lambda row=row: service.client.predict(row["instrument"], model="move"))
            assert said["prediction"] == row["prediction"]
            assert (said["label"], said["model_version"]) == (row["label"], row["version"])
            assert pd.Timestamp(said["feature_time"]) == row["decision_time"]
        assert predict(walked, home, at).served == "2"


def test_the_asset_keeps_one_answer_for_each_row(walked, at):
    lake = walked.lake
    result = walked.run(["batch_predictions"])
    check = checks(result)["batch_predictions/champions_answer"]
    assert check.passed
    (key,) = lake.keys("models/move/batch_predictions")
    first = lake.read("models/move/batch_predictions", [key])[key]
    assert first.columns.tolist() == batch.COLUMNS
    assert first["predicted_at"].unique().tolist() == [at]
    assert first["prediction"].between(0, 1).all()
    again = walked.run(["batch_predictions"])
    (event,) = again.get_asset_materialization_events()
    assert event.step_materialization_data.materialization.metadata["new_rows"].value == 0
    assert lake.read("models/move/batch_predictions", [key])[key].equals(first)


def test_a_later_row_is_added_and_the_earlier_answer_stays(walked, home, at):
    lake = type(walked.lake)(home.lake)
    found = predict(walked, home, at)
    earlier = found.rows.assign(decision_time=found.rows["decision_time"] - timedelta(hours=1), prediction=0.25)
    assert batch.keep(lake, batch.Batch("move", "1", None, earlier)) == 2
    assert batch.keep(lake, found) == 2
    changed = batch.Batch("move", "9", None, found.rows.assign(prediction=0.5))
    assert batch.keep(lake, changed) == 0
    (key,) = lake.keys("models/move/batch_predictions")
    kept = lake.read("models/move/batch_predictions", [key])[key]
    assert kept["prediction"].tolist() == [0.25, 0.25, *found.rows["prediction"]]


def test_a_stale_row_is_refused_with_its_age_as_the_service_refuses_it(walked, at):
    late = at + timedelta(days=3)
    found = batch.predict(Stores(walked.home), walked.lake, walked.configuration, "move", late.to_pydatetime())
    assert found.rows.empty
    assert sorted(found.refused) == INSTRUMENTS
    assert all("stale" in reason and "the limit is 7200 s" in reason for reason in found.refused.values())


def test_a_feature_without_a_value_and_one_of_the_future_are_refused(walked, home, at):
    lake = type(walked.lake)(home.lake)
    name = read_names(home)[3]
    path = lake.path("gold/features", next(k for k in reversed(lake.keys("gold/features")) if _rows(lake, k)))
    frame = pd.read_parquet(path)
    last = frame.index[frame["instrument"] == "GBP_USD"][-1]
    frame.loc[last, name] = np.nan
    frame.to_parquet(path, index=False)

    found = predict(walked, home, at)
    assert found.rows["instrument"].tolist() == ["USD_JPY"]
    assert f"feature {name} has no value in the row of" in found.refused["GBP_USD"]
    early = predict(walked, home, at - timedelta(days=1))
    assert early.rows.empty
    assert "after" in early.refused["USD_JPY"]


def test_without_a_champion_nothing_is_said_and_nothing_fails(walked, home, at):
    promotion.retire(home, "move", reason="a test", actor="tester")
    found = predict(walked, home, at)
    assert (found.version, len(found.rows)) == (None, 0)


def test_a_champion_without_bundle_or_with_an_altered_one_is_named(walked, home, at):
    folder = home.bundles / "move" / "2"
    (folder / "model.onnx").write_bytes((folder / "model.onnx").read_bytes() + b"x")
    with pytest.raises(StoreError, match=r"model\.onnx: content hash"):
        predict(walked, home, at)
    shutil.rmtree(folder)
    with pytest.raises(StoreError, match=r"champion move version 2 has no bundle\. Materialize move/model_bundle"):
        predict(walked, home, at)


def read_names(stores) -> list[str]:
    from fx_serving.client.bundle import read_manifest

    return [feature.name for feature in read_manifest(stores.bundles / "move" / "2").features]


def _rows(lake, key) -> int:
    return len(lake.read("gold/features", [key], ["instrument"])[key])


def _key(name: str):
    import dagster as dg

    return dg.AssetKey(name)

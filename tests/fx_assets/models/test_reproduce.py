"""Two trainings of the same rows are equal to the last bit, and a version is made again from its entry alone."""

import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fx_assets.errors import StoreError
from fx_assets.models import registry, reproduce, train
from fx_serving.client.home import Stores
from tests.fx_assets.models.registered import MODEL, SMALL_MODELS, register, rows_for, spec_for, study_record
from tests.fx_assets.small import changed, configuration_of, write_config

CANDIDATES = [
    {"name": "boosted", "algorithm": "xgboost", "rounds": 12, "params": {"max_depth": 3, "subsample": 0.7}, "seeds": 2},
    {"name": "forest", "algorithm": "random_forest", "rounds": 20, "params": {}},
    {"name": "light", "algorithm": "lightgbm", "rounds": 12, "params": {"bagging_fraction": 0.7, "bagging_freq": 1}},
    {"name": "cat", "algorithm": "catboost", "rounds": 12, "params": {"subsample": 0.7}, "calibration": "platt"},
    {"name": "linear", "algorithm": "logistic", "rounds": 1, "params": {}, "calibration": "isotonic"},
]


@pytest.fixture(scope="module")
def configuration(tmp_path_factory):
    models = changed(SMALL_MODELS, models__move__candidates=CANDIDATES)
    with pytest.MonkeyPatch.context() as patch:
        return configuration_of(write_config(tmp_path_factory.mktemp("config"), models=models), patch)


@pytest.fixture(scope="module")
def rows(configuration):
    return rows_for(configuration, 2500)


@pytest.fixture(scope="module")
def spec(configuration):
    return msgspec.structs.replace(spec_for(configuration), nthread=2)


@pytest.fixture(scope="module")
def made(tmp_path_factory, configuration, rows, spec) -> Path:
    """Version 1, with a real study over all five algorithms."""
    home = tmp_path_factory.mktemp("registry")
    record, predictions = study_record(rows, spec)
    assert len(record["figures"]["candidates"]) == len(CANDIDATES)
    register(home, configuration, rows, spec, studied=record, predictions=predictions)
    return home


@pytest.fixture
def stores(made, tmp_path) -> Stores:
    shutil.copytree(made, tmp_path / "home")
    return Stores(tmp_path / "home")


@pytest.mark.parametrize("candidate", [c["name"] for c in CANDIDATES])
def test_two_trainings_give_the_same_bytes(rows, spec, candidate):
    chosen = next(c for c in spec.candidates if c["name"] == candidate)
    first, again = train.fit(rows, chosen, spec), train.fit(rows.copy(), chosen, spec)
    assert first.save() == again.save()
    assert np.ptp(first.predict(rows[list(first.features)].to_numpy("float32"))) > 0.1


def test_another_seed_gives_other_bytes(rows, spec):
    """Or the test above would compare what never differs."""
    chosen = spec.candidates[0]
    other = msgspec.structs.replace(spec, seed=spec.seed + 1)
    assert train.fit(rows, chosen, spec).save() != train.fit(rows, chosen, other).save()


@pytest.mark.slow
def test_a_version_is_reproduced_from_its_entry_alone(stores):
    lines = []
    outcome = reproduce.reproduce(stores, MODEL, "1", lines.append)
    assert outcome.differences == ()
    assert outcome.equal
    assert outcome.environment == ()
    assert outcome.model_sha256 == registry.record(stores, MODEL, "1").model_sha256
    assert outcome.figures > 150
    assert outcome.rows == len(registry.out_of_fold(stores, registry.record(stores, MODEL, "1")))
    assert any("fold 2/2" in line for line in lines)


@pytest.mark.slow
def test_everything_that_differs_is_named(stores):
    found = registry.record(stores, MODEL, "1")
    path = registry.artifact(stores, found, registry.FIGURES)
    figures = msgspec.json.decode(path.read_bytes())
    figures["auc"]["value"] += 1e-12
    del figures["backtest"]["turnover"]
    path.write_bytes(msgspec.json.encode(figures))
    predictions = registry.out_of_fold(stores, found)
    predictions["prediction"] += np.where(np.arange(len(predictions)) == 3, 0.25, 0.0)
    predictions.to_parquet(registry.artifact(stores, found, registry.OUT_OF_FOLD), index=False)
    outcome = reproduce.reproduce(stores, MODEL, "1")
    assert not outcome.equal
    told = "\n".join(outcome.differences)
    assert "figure auc.value: " in told
    assert "figure backtest.turnover: " in told
    assert "registered absent" in told
    assert f"out of fold, column prediction: 1 of {len(predictions)} rows differ, by 0.25 at most" in told
    assert len(outcome.differences) == 3


def test_altered_rows_are_refused(stores):
    found = registry.record(stores, MODEL, "1")
    path = registry.artifact(stores, found, registry.ROWS)
    rows = registry.rows(stores, found)
    rows["label"] = 1.0 - rows["label"]
    rows.to_parquet(path, index=False)
    with pytest.raises(StoreError, match=r"the rows in .*rows\.parquet have content .* Restore the file"):
        reproduce.reproduce(stores, MODEL, "1")


def test_what_is_installed_is_compared(configuration, spec):
    made = train.spec_of(configuration, MODEL, "2021-03-15", spec.candidates[0], spec)
    assert list(reproduce.environment_differences(made)) == []
    older = msgspec.structs.replace(made, packages={**made.packages, "xgboost": "1.0"}, code_version="0")
    told = list(reproduce.environment_differences(older))
    assert told[0].endswith("then 0")
    assert told[1].endswith(", then 1.0")

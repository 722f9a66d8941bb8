"""The exported bundle: read back by the service's own code, whole or not there at all."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import StoreError
from fx_assets.evaluation import estimators
from fx_assets.evaluation.spec import StudySpec
from fx_assets.models import bundle, train
from fx_assets.models.champion import Champion
from fx_assets.models.registry import VersionRecord
from fx_assets.schemas import content_hash, model_features
from fx_serving.client.bundle import BundleError, read_golden, read_manifest, verify_files
from fx_serving.client.scoring import load_scorer
from fx_serving.dataplane.outlier import load_outlier

CANDIDATE = {"name": "tiny", "algorithm": "xgboost", "rounds": 12, "params": {"max_depth": 3, "eta": 0.3}}
MODEL = "move_60m"
INPUTS = model_features(load_configuration(), MODEL)
FEATURES = [name for name, _ in INPUTS]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.standard_normal((600, len(FEATURES))), columns=FEATURES)
    label = (frame[FEATURES[0]] + rng.standard_normal(600) > 0).astype(float)
    known = pd.date_range("2021-02-01", periods=600, freq="1h", tz="UTC", unit="us")
    return frame.assign(label=label, instrument="GBP_USD", decision_time=known, label_end=known + pd.Timedelta(hours=1))


def version(
    rows: pd.DataFrame, number: str = "7", inputs: list[tuple[str, str]] = INPUTS, model: str = MODEL, **candidate: Any
) -> Champion:
    """A registered version as the registry gives it, fitted on the rows."""
    configuration = load_configuration()
    entry = configuration.models.models[MODEL]
    study = StudySpec.for_model(entry, [name for name, _ in inputs], {"GBP_USD": 5e-5}, nthread=1)
    chosen = {**CANDIDATE, **candidate}
    predictor = train.fit(rows, chosen, study)
    spec = msgspec.structs.replace(
        train.spec_of(configuration, MODEL, "2021-03-04", chosen, study), features=list(inputs), model=model
    )
    tags = {
        "session": "2021-03-04",
        "training_set_hash": content_hash(rows),
        "model_sha256": hashlib.sha256(predictor.save()).hexdigest(),
        "feature_service": "move_60m_v1",
    }
    record = VersionRecord(model, number, tags, (), "a-run", datetime.now(UTC), "")
    return Champion(record, predictor, spec, {})


@pytest.fixture(scope="module")
def made(rows) -> Champion:
    return version(rows)


@pytest.fixture
def export(tmp_path, rows, made):
    return lambda: bundle.export(tmp_path, load_configuration(), made, rows)


def test_the_service_reads_what_was_written(export, tmp_path, rows, made):
    folder = export()
    assert folder == tmp_path / "move_60m" / "7"
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    assert [(f.name, f.view) for f in manifest.features] == INPUTS
    assert (manifest.model, manifest.version, manifest.engine) == ("move_60m", "7", "onnx")
    assert (manifest.label.positive, manifest.label.horizon_minutes) == ("move", 60)
    assert manifest.instruments == ["GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"]
    outlier = load_outlier(folder, "outlier.json" in manifest.files, len(FEATURES))
    assert outlier is not None
    assert outlier.score(rows[FEATURES].to_numpy(np.float32)[:1] + 50) == 1.0
    ages = dict.fromkeys((view for _, view in INPUTS), 7200.0) | {"news_signals": 21600.0}
    assert manifest.max_feature_age_s == ages
    assert {"technical", "cross", "lags"} < set(ages)
    assert manifest.lineage == {**made.record.tags, "mlflow_run_id": "a-run", "algorithm": "xgboost"}
    assert set(manifest.files) == {p.name for p in folder.iterdir()} - {"manifest.json"}
    reference = pd.read_parquet(folder / "reference.parquet")
    pd.testing.assert_frame_equal(reference[rows.columns], rows)
    assert list(reference.columns) == [*rows.columns, "prediction"]
    assert reference["prediction"].between(0, 1).all()


def test_both_engines_give_the_golden_answers(export):
    folder = export()
    golden = read_golden(folder)
    inputs = np.array(golden.rows, dtype=np.float32)
    assert inputs.shape == (bundle.GOLDEN_ROWS, len(FEATURES))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    answers = np.asarray(session.run(None, {"input": inputs})[1])[:, 1]
    np.testing.assert_allclose(answers, golden.expected, atol=golden.tolerance)
    native = estimators.load("xgboost", (folder / "model.ubj").read_bytes()).predict(inputs)
    np.testing.assert_array_equal(np.asarray(native, float), golden.expected)
    assert np.ptp(golden.expected) > 0.2


def test_a_version_that_is_there_is_left_as_it_is(export):
    folder = export()
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    assert export() == folder
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()} == before


def test_a_failed_export_leaves_nothing(tmp_path, rows, made):
    with pytest.raises(KeyError):
        bundle.export(tmp_path, load_configuration(), version(rows, model="unknown"), rows)
    with pytest.raises(StoreError, match="move_60m version 7 was trained on other rows than move_60m/training_set"):
        bundle.export(tmp_path, load_configuration(), made, rows.head(500))
    with pytest.raises(BundleError, match=r"version '\.\./7' is not a valid name"):
        bundle.export(tmp_path, load_configuration(), version(rows, "../7"), rows)
    assert [p for p in tmp_path.rglob("*") if p.is_file() or p.name.startswith(".")] == []


def test_an_old_version_is_exported_with_the_features_it_was_trained_with(tmp_path, rows):
    inputs = INPUTS[:7]
    older = version(rows, inputs=inputs)
    folder = bundle.export(tmp_path, load_configuration(), older, rows)
    assert [(f.name, f.view) for f in read_manifest(folder).features] == inputs
    assert bundle.problems(folder, load_configuration(), older) == []
    assert bundle.problems(folder, load_configuration(), version(rows))[0].startswith("features is ")
    gone = version(rows, "8", [(name, "market_features") for name, _ in inputs])
    with pytest.raises(
        StoreError, match=r"version 8 \(feature service move_60m_v1\) needs the feature views market_fe"
    ):
        bundle.export(tmp_path, load_configuration(), gone, rows)


@pytest.mark.parametrize(
    "candidate",
    [
        {"seeds": 3},
        {"calibration": "platt"},
        {"algorithm": "random_forest", "params": {}},
        {"algorithm": "lightgbm", "params": {}},
        {"algorithm": "catboost", "params": {}},
        {"algorithm": "logistic", "params": {}, "calibration": "isotonic"},
    ],
)
def test_every_kind_of_model_has_a_bundle_that_the_service_scores_alike(tmp_path, rows, candidate):
    made = version(rows, **candidate)
    folder = bundle.export(tmp_path, load_configuration(), made, rows)
    assert bundle.problems(folder, load_configuration(), made) == []
    assert not (folder / "model.ubj").exists()  # it would be a part of the model only
    inputs = rows[FEATURES].to_numpy("float32")[:40]
    answers = load_scorer(folder).score_rows(inputs)
    np.testing.assert_allclose(answers, made.predictor.predict(inputs), atol=bundle.TOLERANCE, rtol=0)
    assert np.ptp(answers) > 0.1


def test_an_altered_file_is_found_by_the_service(export):
    folder = export()
    golden = msgspec.json.decode((folder / "golden.json").read_bytes())
    golden["expected"][0] += 0.1
    (folder / "golden.json").write_bytes(msgspec.json.encode(golden))
    with pytest.raises(BundleError, match=r"golden\.json: content hash"):
        verify_files(folder, read_manifest(folder))


def test_the_same_rows_train_to_the_same_bundle(tmp_path, rows, export):
    folder = export()
    again = bundle.export(tmp_path / "again", load_configuration(), version(rows.copy()), rows)
    for name in ("model.onnx", "model.ubj", "golden.json", "reference.parquet"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()

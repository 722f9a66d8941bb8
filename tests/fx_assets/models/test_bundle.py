"""The exported bundle: read back by the service's own code, whole or not there at all."""

import msgspec
import numpy as np
import onnxruntime
import pandas as pd
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import StoreError
from fx_assets.evaluation.training import fit_final
from fx_assets.models import bundle
from fx_assets.schemas import model_features
from fx_serving.client.bundle import BundleError, read_golden, read_manifest, verify_files

CANDIDATE = {"name": "tiny", "algorithm": "xgboost", "rounds": 12, "params": {"max_depth": 3, "eta": 0.3}}
RECORD = {"model": "move_60m", "version": "7"}
INPUTS = model_features(load_configuration(), "move_60m")
FEATURES = [name for name, _ in INPUTS]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame(rng.standard_normal((600, len(FEATURES))), columns=FEATURES)
    label = (frame[FEATURES[0]] + rng.standard_normal(600) > 0).astype(float)
    return frame.assign(label=label, instrument="GBP_USD")


@pytest.fixture(scope="module")
def booster(rows):
    return fit_final(rows, FEATURES, CANDIDATE, 1, 1)


@pytest.fixture
def export(tmp_path, rows, booster):
    return lambda: bundle.export(tmp_path, load_configuration(), RECORD, booster, rows, {"session": "2021-03-04"})


def test_the_service_reads_what_was_written(export, tmp_path, rows, booster):
    folder = export()
    assert folder == tmp_path / "move_60m" / "7"
    manifest = read_manifest(folder)
    verify_files(folder, manifest)
    assert [(f.name, f.view) for f in manifest.features] == INPUTS
    assert (manifest.model, manifest.version, manifest.engine) == ("move_60m", "7", "onnx")
    assert (manifest.label.positive, manifest.label.horizon_minutes) == ("move", 60)
    assert manifest.instruments == ["GBP_USD", "USD_JPY", "AUD_USD", "USD_CAD"]
    ages = dict.fromkeys((view for _, view in INPUTS), 7200.0) | {"news_signals": 21600.0}
    assert manifest.max_feature_age_s == ages
    assert {"technical", "cross", "lags"} < set(ages)
    assert manifest.lineage == {"session": "2021-03-04"}
    assert set(manifest.files) == {p.name for p in folder.iterdir()} - {"manifest.json"}
    reference = pd.read_parquet(folder / "reference.parquet")
    pd.testing.assert_frame_equal(reference, rows)


def test_both_engines_give_the_golden_answers(export, booster):
    folder = export()
    golden = read_golden(folder)
    inputs = np.array(golden.rows, dtype=np.float32)
    assert inputs.shape == (bundle.GOLDEN_ROWS, len(FEATURES))
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    answers = np.asarray(session.run(None, {"input": inputs})[1])[:, 1]
    np.testing.assert_allclose(answers, golden.expected, atol=golden.tolerance)
    native = bundle.load_booster(folder / "model.ubj").inplace_predict(inputs)
    np.testing.assert_array_equal(np.asarray(native, float), golden.expected)
    assert np.ptp(golden.expected) > 0.2


def test_a_version_that_is_there_is_left_as_it_is(export):
    folder = export()
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}
    assert export() == folder
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()} == before


def test_a_failed_export_leaves_nothing(tmp_path, rows, booster):
    with pytest.raises(KeyError):
        bundle.export(tmp_path, load_configuration(), {**RECORD, "model": "unknown"}, booster, rows, {})
    with pytest.raises(ValueError, match=r"number of columns|[Ff]eature"):
        bundle.export(tmp_path, load_configuration(), RECORD, fit_final(rows, FEATURES[:3], CANDIDATE, 1, 1), rows, {})
    with pytest.raises(BundleError, match=r"version '\.\./7' is not a valid name"):
        bundle.export(tmp_path, load_configuration(), {**RECORD, "version": "../7"}, booster, rows, {})
    assert [p for p in tmp_path.rglob("*") if p.is_file() or p.name.startswith(".")] == []


def test_an_old_version_is_exported_with_the_features_it_was_trained_with(tmp_path, rows):
    inputs = INPUTS[:7]
    names = [name for name, _ in inputs]
    older = fit_final(rows, names, CANDIDATE, 1, 1)
    assert older.feature_names == names
    lineage = {"feature_service": "move_60m_v1"}
    folder = bundle.export(tmp_path, load_configuration(), RECORD, older, rows, lineage, inputs)
    assert [(f.name, f.view) for f in read_manifest(folder).features] == inputs
    assert bundle.problems(folder, load_configuration(), RECORD, inputs) == []
    assert bundle.problems(folder, load_configuration(), RECORD)[0].startswith("features is ")
    gone = [(name, "market_features") for name in names]
    with pytest.raises(
        StoreError, match=r"version 8 \(feature service move_60m_v1\) needs the feature views market_fe"
    ):
        bundle.export(tmp_path, load_configuration(), {**RECORD, "version": "8"}, older, rows, lineage, gone)


def test_engines_that_disagree_are_refused(rows, booster):
    inputs = bundle.golden_rows(rows, FEATURES)
    expected = np.asarray(booster.inplace_predict(inputs), float)
    with pytest.raises(StoreError, match=r"ONNX export differs from XGBoost by 0\.001"):
        bundle._check_parity(bundle.to_onnx(booster), inputs, expected + 0.001)


def test_an_altered_file_is_found_by_the_service(export):
    folder = export()
    golden = msgspec.json.decode((folder / "golden.json").read_bytes())
    golden["expected"][0] += 0.1
    (folder / "golden.json").write_bytes(msgspec.json.encode(golden))
    with pytest.raises(BundleError, match=r"golden\.json: content hash"):
        verify_files(folder, read_manifest(folder))


def test_the_same_rows_train_to_the_same_bytes(rows, booster):
    again = fit_final(rows.copy(), FEATURES, CANDIDATE, 1, 1)
    assert bytes(again.save_raw("ubj")) == bytes(booster.save_raw("ubj"))
    assert bundle.to_onnx(again) == bundle.to_onnx(booster)

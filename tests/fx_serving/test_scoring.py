"""The shared scorer beside the running service: the same bundle gives the same answers, to the last bit."""

import numpy as np
import pytest
import xgboost

from fx_serving.client.bundle import BundleError, bundle_dir, read_manifest
from fx_serving.client.scoring import load_scorer
from fx_serving.dataplane.bundles import load_bundle
from tests.servers.serving import NAMES, booster, make_bundle


def test_many_rows_score_as_the_service_answers_each(service):
    scorer = load_scorer(bundle_dir(service.stores.bundles, "move_60m", "1"))
    rows = np.random.default_rng(11).normal(size=(40, len(NAMES))).astype(np.float32)
    said = [
        service.client.predict("GBP_USD", features=dict(zip(NAMES, map(float, row), strict=True)))["prediction"]
        for row in rows
    ]
    found = scorer.score_rows(rows)
    assert found.dtype == np.float64
    assert found.tolist() == said
    assert len(set(said)) > 10


@pytest.mark.parametrize("engine", ["onnx", "xgboost"])
def test_rows_score_as_they_do_one_by_one_whatever_stands_beside_them(stores, engine):
    make_bundle(stores, "1", engine=engine, trained=booster(5))
    scorer = load_scorer(bundle_dir(stores.bundles, "move_60m", "1"))
    rows = np.random.default_rng(3).normal(size=(50, len(NAMES))).astype(np.float32)
    together = scorer.score_rows(rows)
    assert together.tolist() == [scorer.score(rows[i : i + 1]) for i in range(50)]
    assert together[::-1].tolist() == scorer.score_rows(rows[::-1]).tolist()
    expected = booster(5).predict(xgboost.DMatrix(rows, feature_names=NAMES))
    np.testing.assert_allclose(together, expected, atol=1e-6)
    assert scorer.score_rows(rows[:0]).shape == (0,)


def test_a_model_of_another_width_is_refused(stores):
    make_bundle(stores, "1")
    folder = bundle_dir(stores.bundles, "move_60m", "1")
    (folder / "model.onnx").write_bytes(_onnx_of_width(3))
    with pytest.raises(BundleError, match=r"model\.onnx: takes .* the manifest names 4 features"):
        load_scorer(folder, read_manifest(folder))


def test_what_is_no_model_is_refused_in_words(stores):
    make_bundle(stores, "1")
    folder = bundle_dir(stores.bundles, "move_60m", "1")
    (folder / "model.onnx").write_bytes(b"no model")
    with pytest.raises(BundleError, match=r"model\.onnx: onnx refuses it: "):
        load_scorer(folder)


@pytest.mark.parametrize("name", ["manifest.json", "golden.json"])
@pytest.mark.parametrize("damage", [b'{"model": "\xff"}', b'{"rows": ' + b"[" * 100_000, b"\x00"])
def test_a_damaged_file_is_refused_in_words(stores, name, damage):
    make_bundle(stores, "1")
    path = bundle_dir(stores.bundles, "move_60m", "1") / name
    path.write_bytes(damage)
    with pytest.raises(BundleError, match=name):
        load_bundle(stores.bundles, "move_60m", "1")


def test_a_disk_that_cannot_be_read_is_a_refusal(stores, monkeypatch):
    def broken(path):
        raise OSError(5, "Input/output error")

    make_bundle(stores, "1")
    monkeypatch.setattr("fx_serving.client.bundle.sha256_file", broken)
    with pytest.raises(BundleError, match="cannot be read: Input/output error"):
        load_bundle(stores.bundles, "move_60m", "1")


def _onnx_of_width(width: int) -> bytes:
    from tests.servers.serving import to_onnx

    return to_onnx(booster(1, width=width), width)

"""A predictor and its ONNX graph answer alike, for every algorithm, with seeds, calibrator and missing values."""

import numpy as np
import onnxruntime
import pytest

from fx_assets.errors import StoreError
from fx_assets.evaluation import calibration, estimators
from fx_assets.evaluation.calibration import Platt
from fx_assets.evaluation.predictor import Predictor
from fx_assets.models import bundle
from fx_assets.models.onnx_graph import to_onnx

ROWS, WIDTH, ROUNDS = 3000, 10, 40
NAMES = tuple(f"f{n}" for n in range(WIDTH))
ALGORITHMS = ["xgboost", "random_forest", "lightgbm", "catboost", "logistic"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((ROWS, WIDTH)).astype(np.float32)
    x[:, 3] = np.round(x[:, 3], 1)  # values that stand on thresholds
    y = (x[:, 0] + x[:, 1] * x[:, 2] + rng.standard_normal(ROWS) > 0).astype(float)
    return x, y, rng.uniform(0.2, 1.0, ROWS)


@pytest.fixture(scope="module")
def fitted(data):
    """Two seeds of every algorithm, each fitted once."""
    x, y, w = data
    made = {}

    def of(algorithm: str) -> tuple:
        if algorithm not in made:
            candidate = {"name": "c", "algorithm": algorithm, "rounds": ROUNDS, "params": {}}
            made[algorithm] = tuple(estimators.fit(candidate, x, y, w, seed, 1) for seed in (1, 2))
        return made[algorithm]

    return of


def answers(raw: bytes, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labels and P(positive) of a graph."""
    session = onnxruntime.InferenceSession(raw, providers=["CPUExecutionProvider"])
    label, probabilities = session.run(None, {"input": x})
    assert np.asarray(probabilities).shape == (len(x), 2)
    np.testing.assert_allclose(np.asarray(probabilities).sum(axis=1), 1.0, atol=1e-6)
    return np.asarray(label), np.asarray(probabilities)[:, 1]


@pytest.mark.parametrize("method", ["none", "platt", "isotonic"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_graph_and_predictor_agree(fitted, data, algorithm, method):
    x, y, w = data
    plain = Predictor(fitted(algorithm), None, NAMES).predict(x)
    predictor = Predictor(fitted(algorithm), calibration.fit(method, plain, y, w), NAMES)
    raw = to_onnx(predictor, WIDTH)
    label, p = answers(raw, x)
    expected = predictor.predict(x)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(p, expected, atol=bundle.TOLERANCE, rtol=0)
    sure = np.abs(expected - 0.5) > bundle.TOLERANCE
    np.testing.assert_array_equal(label[sure], (expected > 0.5)[sure])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_missing_value_goes_the_same_way(fitted, data, algorithm):
    x = data[0].copy()
    x[np.random.default_rng(5).random(x.shape) < 0.2] = np.nan
    predictor = Predictor(fitted(algorithm)[:1], None, NAMES)
    np.testing.assert_allclose(answers(to_onnx(predictor, WIDTH), x)[1], predictor.predict(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_predictor_gives_the_same_bytes(fitted, algorithm):
    predictor = Predictor(fitted(algorithm), Platt(1.2, -0.1), NAMES)
    assert to_onnx(Predictor.load(predictor.save()), WIDTH) == to_onnx(predictor, WIDTH)


def test_a_float64_threshold_sends_no_float32_value_another_way(data):
    """LightGBM cuts between values in float64; rounding that to the nearest float32 could let one cross."""
    rng = np.random.default_rng(6)
    near = np.float32(1.0) + np.arange(400, dtype=np.float32) * np.spacing(np.float32(1.0))
    x = rng.choice(near, size=(4000, 1)).astype(np.float32)
    y = (np.searchsorted(near, x[:, 0]) % 2 == 0).astype(float)
    params = {"max_bin": 400, "min_data_in_bin": 1, "num_leaves": 300, "min_data_in_leaf": 1}
    candidate = {"name": "c", "algorithm": "lightgbm", "rounds": 30, "params": params}
    predictor = Predictor((estimators.fit(candidate, x, y, np.ones(len(x)), 1, 1),), None, ("f0",))
    expected = predictor.predict(x)
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(answers(to_onnx(predictor, 1), x)[1], expected, atol=1e-5, rtol=0)


def test_a_model_of_returns_has_no_graph(data):
    x, _, w = data
    fitted = estimators.fit(
        {"name": "c", "algorithm": "logistic", "rounds": 1, "params": {}}, x, x[:, 0], w, 1, 1, "real"
    )
    with pytest.raises(StoreError, match="a model of returns states no probability"):
        to_onnx(Predictor((fitted,), None, NAMES, "real", 1.0), WIDTH)


def test_a_graph_that_differs_is_refused(fitted, data):
    x = data[0][:50]
    predictor = Predictor(fitted("xgboost"), None, NAMES)
    raw, expected = to_onnx(predictor, WIDTH), predictor.predict(x)
    bundle.check_parity(raw, x, expected)
    with pytest.raises(StoreError, match=r"differs from the model by 0\.001"):
        bundle.check_parity(raw, x, expected + 0.001)

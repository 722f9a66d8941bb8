"""Every algorithm behind the one interface: it learns, it repeats itself to the byte, and it comes back from bytes."""

import numpy as np
import pytest

from fx_assets.evaluation import estimators
from fx_assets.evaluation.estimators.base import sigmoid
from fx_assets.evaluation.estimators.linear import FittedLinear
from fx_assets.evaluation.metrics import auc
from tests.fx_assets.evaluation.worlds import ALGORITHMS, arrays

each = pytest.mark.parametrize("candidate", ALGORITHMS, ids=[c["algorithm"] for c in ALGORITHMS])


def fit(candidate, seed=3, nthread=2, target="binary", data=None, **options):
    x, y, w = data or arrays()
    return estimators.fit(candidate, x, y, w, seed, nthread, target, **options)


@each
def test_what_there_is_to_learn_is_learned_out_of_sample(candidate):
    model = fit(candidate)
    x, y, _ = arrays(seed=50)
    p = model.predict(x)
    assert p.dtype == np.float64
    assert ((p > 0) & (p < 1)).all()
    assert auc(y, p) > 0.68
    shares = model.importance()
    assert sum(shares.values()) == pytest.approx(1.0)
    assert max(shares, key=lambda index: shares[index]) == 0


@each
def test_equal_inputs_give_equal_bytes_and_another_seed_others(candidate):
    model = fit(candidate)
    assert model.save() == fit(candidate).save()
    if candidate["algorithm"] != "logistic":
        assert model.save() != fit(candidate, seed=4).save()


@each
@pytest.mark.parametrize("target", ["binary", "real"])
def test_a_model_comes_back_from_its_bytes(candidate, target):
    x, y, w = arrays()
    values = y if target == "binary" else x[:, 0].astype(float) * 1e-3 + 5e-4
    model = fit(candidate, target=target, data=(x, values, w))
    again = estimators.load(candidate["algorithm"], model.save())
    x = np.vstack([x, np.full((1, x.shape[1]), np.nan, np.float32)])
    assert (again.predict(x) == model.predict(x)).all()
    assert np.isfinite(again.predict(x)).all()
    assert again.save() == model.save()
    assert again.target == model.target == target
    assert again.importance() == pytest.approx(model.importance())


@each
def test_a_real_target_is_predicted_in_its_own_unit(candidate):
    x, _, w = arrays()
    values = 1e-3 * x[:, 0].astype(float)
    model = fit({**candidate, "rounds": 60}, target="real", data=(x, values, w))
    assert np.corrcoef(model.predict(x), values)[0, 1] > 0.9
    assert model.predict(x).std() == pytest.approx(values.std(), rel=0.5)


@each
def test_contributions_add_up_to_the_margin(candidate):
    model = fit(candidate)
    x, _, _ = arrays(seed=9, rows=50)
    parts = model.contributions(x)
    assert parts is not None
    assert parts.shape == x.shape
    p = model.predict(x)
    margin = p if candidate["algorithm"] == "random_forest" else np.log(p / (1 - p))
    left = margin - parts.sum(axis=1)
    assert left.std() < 1e-4 * max(1.0, margin.std())


@each
def test_weights_count_rows(candidate):
    """A row of weight 0 is as good as absent."""
    x, y, _ = arrays(rows=1200)
    half = np.arange(len(y)) % 2 == 0
    wrong = np.where(half, y, 1 - y)
    right = fit(candidate, data=(x, wrong, np.where(half, 1.0, 1e-9)))
    assert auc(y, right.predict(x)) > 0.65


def test_candidates_of_one_fold_share_what_depends_on_its_rows_alone():
    shared: dict = {}
    for candidate in ALGORITHMS:
        alone = fit(candidate).save()
        assert fit(candidate, shared=shared).save() == alone
        # The second finds the bins made.
        assert fit(candidate, shared=shared).save() == alone
    assert len(shared) == 4  # both forests of XGBoost take the same bins


def test_the_forest_agrees_with_the_textbook_one():
    from sklearn.ensemble import RandomForestClassifier

    x, y, w = arrays(rows=2500)
    new, truth, _ = arrays(rows=2500, seed=70)
    forest = {"name": "f", "algorithm": "random_forest", "rounds": 150}
    forest["params"] = {"max_depth": 6, "min_child_weight": 20, "colsample_bynode": 0.34}
    mine = fit(forest, data=(x, y, w)).predict(new)
    textbook = RandomForestClassifier(150, max_depth=6, min_samples_leaf=20, max_features="sqrt", random_state=0)
    theirs = textbook.fit(x, y, w).predict_proba(new)[:, 1]
    assert np.corrcoef(mine, theirs)[0, 1] > 0.98
    assert auc(truth, mine) == pytest.approx(auc(truth, theirs), abs=0.01)
    assert np.abs(mine - theirs).mean() < 0.03


def test_the_logistic_regression_agrees_with_another_implementation():
    from sklearn.linear_model import LogisticRegression

    x, y, w = arrays()
    mine = fit({"name": "l", "algorithm": "logistic", "params": {"ridge": 5.0, "clip": 1e6}}, data=(x, y, w))
    assert isinstance(mine, FittedLinear)
    mean = np.average(x.astype(float), axis=0, weights=w)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=w))
    z = (x - mean) / scale
    theirs = LogisticRegression(C=1 / 5.0, tol=1e-12, max_iter=1000).fit(z, y, w)
    assert mine.coefficients == pytest.approx(theirs.coef_[0], rel=1e-5, abs=1e-7)
    assert mine.intercept == pytest.approx(theirs.intercept_[0], rel=1e-4, abs=1e-6)


def test_separable_and_constant_columns_do_not_stop_the_logistic_regression():
    x = np.column_stack([np.repeat([-1.0, 1.0], 200), np.full(400, 7.0), np.full(400, np.nan)]).astype(np.float32)
    model = fit(
        {"name": "l", "algorithm": "logistic", "params": {}}, data=(x, np.repeat([0.0, 1.0], 200), np.ones(400))
    )
    assert isinstance(model, FittedLinear)
    assert np.isfinite(model.coefficients).all()
    assert (model.coefficients[1:] == 0).all()
    assert auc(np.repeat([0.0, 1.0], 200), model.predict(x)) == 1.0


def test_the_sigmoid_does_not_overflow():
    assert (sigmoid(np.array([-1e4, 0.0, 1e4])) == [0.0, 0.5, 1.0]).all()


def test_unusable_requests_are_refused():
    x, y, w = arrays(rows=50)
    good = ALGORITHMS[0]
    with pytest.raises(ValueError, match="algorithm 'tabnet' is unknown"):
        fit({"name": "x", "algorithm": "tabnet", "rounds": 1})
    with pytest.raises(ValueError, match="target 'rank'"):
        fit(good, target="rank")
    with pytest.raises(ValueError, match="labels from 1 to 1; need both 0 and 1"):
        fit(good, data=(x, np.ones(len(y)), w))
    with pytest.raises(ValueError, match="0 rows"):
        fit(good, data=(x[:0], y[:0], w[:0]))
    with pytest.raises(ValueError, match="params nthread are set by the study"):
        fit({**good, "params": {"nthread": 8}})
    with pytest.raises(ValueError, match="params eta are set by the study"):
        fit({**ALGORITHMS[3], "params": {"eta": 0.1}})


@each
def test_a_misspelt_parameter_is_an_error_not_a_default(candidate):
    with pytest.raises(ValueError, match=f"'{candidate['name']}'.*max_dept"):
        fit({**candidate, "params": {**candidate["params"], "max_dept": 3}})

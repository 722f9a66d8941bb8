"""Calibrators: the truth is found where it is known, order is never turned, and nothing becomes certain."""

import numpy as np
import pytest

from fx_assets.evaluation.calibration import fit, logistic_line, restore


def bent(rows: int = 20_000, seed: int = 0):
    """Stated probabilities that are too sure by a factor of two in the log odds, and off by a constant."""
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 1, rows)
    true = 1 / (1 + np.exp(-(0.5 * margin - 0.3)))
    return 1 / (1 + np.exp(-margin)), (rng.random(rows) < true).astype(float), np.ones(rows), true


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_what_is_bent_is_straightened(method):
    p, y, w, _ = bent()
    new, _, _, true = bent(seed=1)
    calibrator = fit(method, p, y, w)
    assert calibrator is not None
    assert np.abs(calibrator.apply(new) - true).mean() < (0.005 if method == "platt" else 0.02)
    again = restore(method, calibrator.numbers())
    assert again is not None
    assert (again.apply(new) == calibrator.apply(new)).all()


def test_platt_states_slope_and_intercept():
    p, y, w, _ = bent()
    calibrator = fit("platt", p, y, w)
    assert calibrator is not None
    assert calibrator.numbers()[0] == pytest.approx([0.5, -0.3], abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_the_isotonic_steps_are_those_of_another_implementation(seed):
    from sklearn.isotonic import IsotonicRegression

    rng = np.random.default_rng(seed)
    p = np.round(rng.random(400), 2)
    y = (rng.random(400) < p).astype(float)
    w = rng.uniform(0.2, 2.0, 400)
    mine = fit("isotonic", p, y, w)
    assert mine is not None
    theirs = IsotonicRegression().fit(p, y, w)
    knots, heights = (np.array(numbers) for numbers in mine.numbers())
    # Ours draws each step towards the mean by ten rows; undo that with the steps' own weights.
    steps = theirs.predict(p)
    mass = {height: w[steps == height].sum() for height in np.unique(steps)}
    rate = float(w @ y / w.sum())
    wanted = [(height * weight + 10 * rate) / (weight + 10) for height, weight in mass.items()]
    assert len(heights) == len(wanted)
    assert heights == pytest.approx(np.maximum.accumulate(wanted))
    places = [np.average(p[steps == height], weights=w[steps == height]) for height in mass]
    assert knots == pytest.approx(places)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_order_is_kept_and_certainty_is_never_stated(method):
    rng = np.random.default_rng(3)
    p = rng.random(500)
    calibrator = fit(method, p, (p > 0.5).astype(float), np.ones(500))
    assert calibrator is not None
    told = calibrator.apply(np.linspace(0.1, 0.9, 200))
    assert (np.diff(told) >= 0).all()
    assert 0 < told[0] < 0.05
    assert 0.95 < told[-1] < 1


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_model_that_ranks_the_wrong_way_is_not_turned_over(method):
    rng = np.random.default_rng(4)
    p = rng.random(2000)
    y = (rng.random(2000) > p).astype(float)
    calibrator = fit(method, p, y, np.ones(2000))
    assert calibrator is not None
    told = calibrator.apply(p)
    assert np.ptp(told) < 0.02
    assert told.mean() == pytest.approx(y.mean(), abs=0.02)


def test_weights_count_rows():
    p, y, w, _ = bent(2000)
    doubled = fit("platt", p, y, 2 * w)
    repeated = fit("platt", np.tile(p, 2), np.tile(y, 2), np.tile(w, 2))
    assert doubled is not None
    assert repeated is not None
    assert doubled.numbers()[0] == pytest.approx(repeated.numbers()[0])


def test_a_line_through_log_odds_agrees_with_another_implementation():
    from sklearn.linear_model import LogisticRegression

    p, y, w, _ = bent(3000)
    x = np.log(p / (1 - p))
    theirs = LogisticRegression(C=1e6, tol=1e-12).fit(x[:, None], y, w)
    assert logistic_line(x, y, w) == pytest.approx((theirs.intercept_[0], theirs.coef_[0, 0]), rel=1e-4)


def test_unusable_requests_are_refused():
    p, y, w, _ = bent(200)
    assert fit("none", p, y, w) is None
    assert restore("none", []) is None
    with pytest.raises(ValueError, match="calibration 'beta' is unknown"):
        fit("beta", p, y, w)
    with pytest.raises(ValueError, match="50 rows"):
        fit("platt", p[:50], y[:50], w[:50])
    with pytest.raises(ValueError, match=r"labels from 1\.0 to 1\.0"):
        fit("isotonic", p, np.ones(200), w)

"""Deflated Sharpe ratio and overfitting probability against the papers and against known worlds."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation.deflated import deflated_sharpe, judge_trials, pbo, sharpe


def test_the_numbers_of_the_paper():
    """Example of Bailey and Lopez de Prado (2014): annualised Sharpe ratio 2.5 over 1250 days (250 a year),
    skewness -3, kurtosis 10, 100 trials with an annualised variance of 1/2 give 0.9004.
    """
    from scipy import stats

    ratio, expected = 2.5 / np.sqrt(250), np.sqrt(0.5 / 250)
    highest = 0.4227843351 * stats.norm.ppf(1 - 1 / 100) + 0.5772156649 * stats.norm.ppf(1 - 1 / (100 * np.e))
    paper = stats.norm.cdf(
        (ratio - expected * highest) * np.sqrt(1249) / np.sqrt(1 + 3 * ratio + (10 - 1) / 4 * ratio**2)
    )
    assert paper == pytest.approx(0.9004, abs=5e-4)
    returns = _with_moments(ratio)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns, fisher=False)
    trials = np.random.default_rng(0).normal(0, 1, 100)
    trials = (trials - trials.mean()) / trials.std(ddof=1) * expected
    mine = deflated_sharpe(returns, trials)
    denominator = 1 - skew * sharpe(returns) + (kurtosis - 1) / 4 * sharpe(returns) ** 2
    by_hand = stats.norm.cdf((sharpe(returns) - expected * highest) * np.sqrt(1249) / np.sqrt(denominator))
    assert mine == pytest.approx(by_hand, abs=1e-6)


def _with_moments(ratio: float) -> np.ndarray:
    draws = -np.random.default_rng(1).gamma(0.5, 1.0, 1250)  # skewed to the left
    draws = (draws - draws.mean()) / draws.std(ddof=1)
    return 0.01 * (draws + ratio)


def test_more_trials_deflate_more():
    returns = np.random.default_rng(2).normal(0.001, 0.01, 500)
    spread = np.array([0.0, 0.05, -0.05])
    one = deflated_sharpe(returns, np.array([sharpe(returns)]))
    three = deflated_sharpe(returns, spread)
    many = deflated_sharpe(returns, spread, trials=1000)
    assert 1.0 >= one > three > many >= 0.0
    assert np.isnan(deflated_sharpe(np.zeros(100), spread))


def test_overfitting_is_likely_among_noise_and_unlikely_with_one_real_edge():
    rng = np.random.default_rng(3)
    noise = np.mean([pbo(rng.normal(0, 1, (600, 20))) for _ in range(20)])
    assert 0.3 < noise < 0.7
    real = rng.normal(0, 1, (600, 20))
    real[:, 7] += 0.3
    assert pbo(real) < 0.05


def test_too_little_for_a_judgement():
    assert np.isnan(pbo(np.zeros((600, 1))))
    assert np.isnan(pbo(np.zeros((10, 5))))


def test_every_trial_ever_made_counts():
    rng = np.random.default_rng(4)
    daily = pd.DataFrame({"best": rng.normal(0.001, 0.01, 600), "other": rng.normal(0.0, 0.01, 600)})
    alone = judge_trials(daily, "best")
    assert alone["trials"] == 2
    assert alone["pbo"] == pbo(daily.to_numpy())
    ratios = np.array([sharpe(daily[name].to_numpy()) for name in daily])
    assert alone["dsr"] == deflated_sharpe(daily["best"].to_numpy(), ratios)
    before = [0.02, -0.03, float("nan")]
    later = judge_trials(daily, "best", before, 50)
    assert later["trials"] == 52
    assert later["dsr"] == deflated_sharpe(daily["best"].to_numpy(), np.array([*ratios, 0.02, -0.03]), 52)
    assert later["dsr"] < alone["dsr"]
    with pytest.raises(ValueError, match="'lost' is not among the strategies tried: best, other"):
        judge_trials(daily, "lost")

"""The backtest against accounts kept by hand."""

import numpy as np
import pytest

from fx_assets.evaluation.backtest import backtest, trading_day

T0 = np.datetime64("2021-01-04T12:00", "us")
HOUR = np.timedelta64(1, "h")


def run(position, forward, half=1e-4, hours=None, instrument=None):
    n = len(position)
    time = T0 + (np.arange(n) if hours is None else np.asarray(hours)) * HOUR
    names = np.repeat("X", n) if instrument is None else np.asarray(instrument)
    return backtest(np.array(position), np.array(forward), half, time, names)


def test_one_held_position_pays_the_spread_once():
    result = run([0, 1, 1, 1, 0], np.log([1.01, 1.01, 1.0, 0.99, 1.01]))
    assert result["gross_return"] == pytest.approx(0.01 + 0.0 - 0.01)
    assert result["net_return"] == pytest.approx(-2e-4)
    assert result["trades"] == 1
    assert result["win_rate"] == 0.0
    assert result["exposure"] == pytest.approx(0.6)


def test_a_flip_costs_two_half_spreads_and_the_end_one():
    result = run([1, -1], np.log([1.01, 0.99]))
    assert result["net_return"] == pytest.approx(0.02 - 4e-4)
    assert result["trades"] == 2
    assert result["win_rate"] == 1.0
    assert np.isnan(result["profit_factor"])  # nothing was lost
    assert result["turnover"] == pytest.approx(4.0)
    costs = result["cost_sensitivity"]
    for name, multiple in (("0_5x", 0.5), ("1_5x", 1.5), ("3x", 3.0)):
        assert costs[name]["net_return"] == pytest.approx(0.02 - multiple * 4e-4)


def test_positions_are_closed_at_a_gap():
    whole = run([1, 1, 1, 1], np.zeros(4))
    gapped = run([1, 1, 1, 1], np.zeros(4), hours=[0, 1, 50, 51])
    assert whole["net_return"] == pytest.approx(-2e-4)
    assert gapped["net_return"] == pytest.approx(-4e-4)
    assert (whole["trades"], gapped["trades"]) == (1, 2)


def test_the_cost_of_leaving_belongs_to_the_trade():
    result = run([1, 0, 0, -1, 0], np.log([1.00015, 1, 1, 1 / 1.0003, 1]))
    assert result["trades"] == 2
    assert result["win_rate"] == 0.5  # 1.5 bp does not cover 2 bp, 3 bp does
    assert result["profit_factor"] == pytest.approx((2.9991e-4 - 2e-4) / 0.5e-4, rel=1e-3)


def test_capital_is_divided_between_instruments():
    hours = [0, 1, 0, 1]
    result = run([1, 1, 0, 0], np.log([1.02, 1.0, 1.5, 1.5]), half=0.0, hours=hours, instrument=list("AABB"))
    assert result["net_return"] == pytest.approx(0.01)


def test_drawdown_and_days():
    time = T0 + np.arange(5) * np.timedelta64(24, "h")
    result = backtest(np.ones(5), np.log([1.1, 0.8, 1.0, 0.9, 1.3]), 0.0, time, np.repeat("X", 5))
    assert result["max_drawdown"] == pytest.approx(1 - 0.8 * 0.9)
    assert result["days"] == 5
    daily = np.array(list(result["daily"].values()))
    assert daily == pytest.approx([0.1, -0.2, 0.0, -0.1, 0.3])
    assert result["sharpe_net"]["value"] == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(260))
    assert result["sharpe_net"]["low"] <= result["sharpe_net"]["value"] <= result["sharpe_net"]["high"]


def test_sharpe_interval_of_a_real_edge_excludes_zero():
    rng = np.random.default_rng(0)
    n = 24 * 300
    forward = rng.normal(0, 1e-3, n)
    right = np.where(rng.random(n) < 0.55, np.sign(forward), -np.sign(forward))
    edge = run(right, forward, half=0.0)["sharpe_net"]
    luck = run(rng.choice([-1, 1], n), forward, half=0.0)["sharpe_net"]
    assert edge["low"] > 0
    assert luck["low"] < 0 < luck["high"]


def test_the_trading_day_turns_at_seventeen_new_york():
    times = np.array(["2021-01-08T21:59", "2021-01-10T22:00", "2021-07-04T21:00", "2021-07-02T20:59"], "datetime64[us]")
    assert trading_day(times).astype(str).tolist() == ["2021-01-08", "2021-01-11", "2021-07-05", "2021-07-02"]


def test_bad_positions_are_refused():
    with pytest.raises(ValueError, match="-1, 0 or 1"):
        run([0.5, 1], [0.0, 0.0])
    with pytest.raises(ValueError, match="forward return"):
        run([1, 1], [0.0, np.nan])


def test_no_trades_at_all_is_an_answer():
    result = run([0, 0, 0], np.zeros(3))
    assert result["trades"] == 0
    assert result["sharpe_net"]["value"] == 0.0
    assert np.isnan(result["win_rate"])

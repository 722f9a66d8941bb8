"""Rules on forecasts of known worth, and the choice among them against one made by hand."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.evaluation import costs
from fx_assets.evaluation.deflated import pbo, sharpe
from fx_assets.strategy import report
from fx_assets.strategy.rules import PIECES, Market, Rule, daily_returns, figures, optimize, trade

RULES = [Rule(t, s) for s in ("unit", "confidence", "volatility") for t in (0.5, 0.55, 0.6)]
TYPICAL = costs.with_typical(costs.table(pd.DataFrame()), {"EUR_USD": 5e-5, "GBP_USD": 5e-5})


def forecasts(knowledge: float, rows: int = 24 * 120, seed: int = 0) -> pd.DataFrame:
    """Hourly out-of-fold rows; knowledge: how much of the coming return's sign the forecast knows, 0 to 1."""
    rng = np.random.default_rng(seed)
    parts = []
    for name in ("EUR_USD", "GBP_USD"):
        time = pd.date_range("2021-01-04", periods=rows, freq="h", tz="UTC").as_unit("us")
        # Persistent, so that an order one bar late still finds the move.
        drift = np.repeat(rng.choice([-1, 1], rows // 12), 12)
        forward = 4e-4 * drift + rng.normal(0, 1e-3, rows)
        noise = rng.normal(0, 0.1, rows)
        parts.append(
            pd.DataFrame(
                {
                    "instrument": name,
                    "time": time - pd.Timedelta(hours=1),
                    "decision_time": time,
                    "label_end": time + pd.Timedelta(hours=1),
                    "label": (forward > 0).astype(float),
                    "forward_return": forward,
                    "prediction": np.clip(0.5 + knowledge * 0.1 * drift + noise, 0.01, 0.99),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def market(frame: pd.DataFrame, kind: str = "direction", latency: int = 1) -> Market:
    return Market.of(frame, kind, TYPICAL, latency, {"EUR_USD": 1e-5})


@pytest.fixture(scope="module")
def runs():
    return trade(market(forecasts(1.0)), RULES)


def test_one_row_of_figures_for_each_rule(runs):
    found = figures(runs, "typical", seed=0)
    assert [(rule["threshold"], rule["sizing"]) for rule in found] == [(r.threshold, r.sizing) for r in RULES]
    assert found[0]["name"] == "0.5 unit"
    unit = found[:3]
    assert unit[0]["exposure"] > unit[1]["exposure"] > unit[2]["exposure"] > 0
    for whole, sized in zip(unit, found[3:6], strict=True):
        assert sized["exposure"] < whole["exposure"]
    assert {rule["cost_source"] for rule in found} == {"typical"}
    assert "daily" not in found[0]
    table = report.rule_table(found)
    assert table.count("\n") == len(RULES) + 1
    assert "| 0.55 confidence |" in table


def test_daily_returns_add_up_to_the_figures(runs):
    daily = daily_returns(runs)
    assert daily.columns.tolist() == [rule.name for rule in RULES]
    net = [rule["net_return"] for rule in figures(runs, "typical", 0)]
    assert daily.sum().tolist() == pytest.approx(net)


def test_the_choice_is_made_on_earlier_days_only(runs):
    found = optimize(runs, RULES[0])
    daily = daily_returns(runs)
    values, chosen = daily.to_numpy(), []
    pieces = np.array_split(np.arange(len(daily)), PIECES)
    for choice, piece in zip(found["choices"], pieces[1:], strict=True):
        ratios = [sharpe(values[: piece[0], k]) for k in range(len(RULES))]
        best = ratios.index(max(ratios))
        assert choice == {"from": str(daily.index[piece[0]])[:10], "rule": RULES[best].name}
        chosen += values[piece, best].tolist()
    later = found["later"]
    assert later["chosen"]["net_return"] == pytest.approx(sum(chosen))
    assert later["default"]["net_return"] == pytest.approx(values[pieces[1][0] :, 0].sum())
    assert later["chosen"]["days"] == later["default"]["days"] == len(chosen)
    assert found["pbo"] == pbo(values)
    assert found["best"] == daily.columns[int(np.argmax([sharpe(values[:, k]) for k in range(len(RULES))]))]
    # What comes later changes no earlier choice.
    cut = {rule: run for rule, run in trade(market(forecasts(1.0).groupby("instrument").head(24 * 60)), RULES).items()}
    assert optimize(cut, RULES[0])["later"]["chosen"]["days"] < later["chosen"]["days"]


def test_real_knowledge_survives_its_trials_and_noise_does_not(runs):
    known = optimize(runs, RULES[0], [0.1, -0.1], 40)
    assert known["trials"] == 40 + len(RULES)
    assert known["dsr"] > 0.95
    assert known["later"]["chosen"]["sharpe_net"]["low"] > 0
    luck = optimize(trade(market(forecasts(0.0, seed=5)), RULES), RULES[0], [0.1, -0.1], 40)
    assert luck["dsr"] < 0.5
    assert luck["later"]["chosen"]["net_return"] < 0
    assert "not by more than luck explains: keep 0.5 unit" in report.advice(luck)


def test_advice_follows_the_figures():
    series = {"sharpe_net": {"value": 1.0, "low": 0.5, "high": 1.5}, "net_return": 0.02, "days": 50}
    found = {
        "best": "0.6 unit", "default": "0.5 unit", "dsr": 0.99, "pbo": 0.1, "trials": 9, "better": True,
        "later": {"chosen": series, "default": series},
    }  # fmt: skip
    assert report.advice(found).startswith("The rule 0.6 unit is better than 0.5 unit, the one in use, by more than")
    for change in ({"better": False}, {"dsr": 0.9}, {"pbo": 0.5}, {"dsr": float("nan")}, {"pbo": None}):
        assert "keep 0.5 unit" in report.advice({**found, **change})
    assert "is also the best" in report.advice({**found, "best": "0.5 unit"})


def test_a_label_without_a_side_needs_one():
    frame = forecasts(1.0, rows=48)
    with pytest.raises(ValueError, match="lack side"):
        market(frame, "large_move")
    with pytest.raises(ValueError, match="lack label_end"):
        market(frame.drop(columns="label_end"))
    sided = market(frame.assign(side=np.tile([1.0, -1.0], 48)), "large_move", latency=0)
    (run,) = trade(sided, [Rule(0.5)]).values()
    taken = frame[frame["prediction"] > 0.5]
    assert len(run.held) == len(taken)


def test_costs_of_the_market_are_those_of_the_table():
    frame = forecasts(1.0, rows=48)
    dear = TYPICAL.assign(half_spread=np.where(TYPICAL["hour"] == 17, 9e-4, TYPICAL["half_spread"]))
    made = Market.of(frame, "direction", dear, 1, {}, "recorded (2021-01)")
    assert made.cost_source == "recorded (2021-01)"
    hour = made.rows["decision_time"].dt.tz_convert("America/New_York").dt.hour
    assert made.half_spread.tolist() == np.where(hour == 17, 9e-4, 5e-5).tolist()
    assert market(frame).cost_source == "typical"
    with pytest.raises(ValueError, match="no half spread for GBP_USD"):
        Market.of(frame, "direction", TYPICAL[TYPICAL["instrument"] == "EUR_USD"], 1, {})

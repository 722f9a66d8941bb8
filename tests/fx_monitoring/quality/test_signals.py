"""What acting on a session's answers would have earned: by hand, and against the study's own backtest."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Model
from fx_assets.evaluation.costs import table as cost_table
from fx_assets.evaluation.costs import with_typical
from fx_monitoring.quality.rows import ALL
from fx_monitoring.quality.signals import LAST_MOVE, Session, validate, wilson

CANDIDATE = {"name": "line", "algorithm": "logistic"}
OPEN = pd.Timestamp("2022-03-01 00:00", tz="UTC")
HALF = 1e-4


def entry(kind: str = "direction", **strategy) -> Model:
    return Model.model_validate(
        {
            "label": {"kind": kind, "horizon_minutes": 60},
            "candidates": [CANDIDATE],
            "gates": "trading",
            "strategy": {"latency_bars": 0, **strategy},
        }
    )


def session(predictions, returns, moves=None, entry_=None, symbols=("EUR_USD",), known=None, at=None) -> Session:
    """Bars of an hour; `predictions` may be shorter than `returns`: the rest is the next session's."""
    n, times = len(returns), pd.date_range(OPEN, periods=len(returns), freq="h").as_unit("us")
    labels, answers, sides = [], [], []
    for symbol in symbols:
        forward = np.array(returns, float)
        out = pd.DataFrame(
            {
                "instrument": symbol,
                "decision_time": times,
                "label_end": times + pd.Timedelta(hours=1),
                "forward_return": forward,
                "outcome": (forward > 0).astype(float),
            }
        )
        if known is not None:
            out.loc[known:, ["forward_return", "outcome"]] = np.nan
        labels.append(out)
        sides.append(pd.DataFrame({"instrument": symbol, "decision_time": times, LAST_MOVE: moves or [0.001] * n}))
        given = out.iloc[: len(predictions)][["instrument", "decision_time", "label_end", "outcome"]]
        answers.append(given.assign(prediction=predictions))
    costs = with_typical(cost_table(pd.DataFrame()), dict.fromkeys(symbols, HALF))
    frames = [pd.concat(part, ignore_index=True) for part in (answers, labels, sides)]
    return Session("m", "service", entry_ or entry(), *frames, costs, 60, at or OPEN + pd.Timedelta(days=9))


def whole(given: Session) -> dict:
    return next(row for row in validate(given) if row["instrument"] == ALL)


def test_two_answers_by_hand():
    """Long into a rise, out, then short into a rise: one hit, two trades, two spreads each."""
    found = whole(session([0.7, 0.5, 0.3], [0.01, 0.0, 0.01], entry_=entry(threshold=0.6)))
    assert (found["answers"], found["known"], found["right"], found["signals"]) == (3, 3, 1, 2)
    assert (found["trades"], found["won"], found["open"]) == (2, 1, 0)
    assert found["cost"] == pytest.approx(4 * HALF)
    assert found["gross"] == pytest.approx(np.expm1(0.01) - np.expm1(0.01))
    assert found["net"] == pytest.approx(found["gross"] - found["cost"])


def test_a_hit_counts_the_more_probable_side_at_a_half():
    found = whole(session([0.5, 0.49], [0.01, -0.01]))
    assert found["right"] == 2


def test_what_is_not_known_yet_is_open():
    found = whole(session([0.9, 0.9, 0.9], [0.01, 0.01, 0.01], known=2))
    assert (found["answers"], found["known"], found["signals"], found["open"]) == (3, 2, 3, 1)
    assert found["pending"] == 0, "long past its time: there is no such label"
    assert whole(session([0.9] * 3, [0.01] * 3, known=2, at=OPEN + pd.Timedelta(hours=2)))["pending"] == 1
    nothing = whole(session([0.9], [0.01], known=0))
    assert (nothing["known"], nothing["hit_rate"], nothing["net"], nothing["open"]) == (0, None, 0.0, 1)


def test_a_late_entry_takes_the_next_bar_of_the_next_session():
    late = whole(session([0.9], [0.01, -0.02], entry_=entry(latency_bars=1)))
    assert late["gross"] == pytest.approx(np.expm1(-0.02))
    assert late["trades"] == 1


def test_a_large_move_is_traded_the_way_of_the_last_one():
    down = session([0.9], [-0.01], moves=[-0.002], entry_=entry("large_move"))
    assert whole(down)["gross"] == pytest.approx(-np.expm1(-0.01))
    quiet = session([0.4], [-0.01], moves=[-0.002], entry_=entry("large_move"))
    assert whole(quiet)["signals"] == 0


def test_instruments_have_rows_of_their_own_and_all_is_their_mean():
    rows = validate(session([0.9, 0.9], [0.01, 0.01], symbols=("EUR_USD", "USD_JPY")))
    assert [row["instrument"] for row in rows] == [ALL, "EUR_USD", "USD_JPY"]
    assert rows[0]["net"] == pytest.approx(np.mean([rows[1]["net"], rows[2]["net"]]))
    assert rows[0]["trades"] == rows[1]["trades"] + rows[2]["trades"]


def test_the_wilson_interval_of_nine_in_ten():
    low, high = wilson(9, 10)
    assert (low, high) == (pytest.approx(0.5958, abs=1e-4), pytest.approx(0.9821, abs=1e-4))
    assert wilson(0, 0) == (None, None)
    assert wilson(0, 5)[0] == pytest.approx(0.0, abs=1e-12)

"""The promotion decision: the leak canary, the comparison with the champion, and the verdict."""

import numpy as np
import pandas as pd
import pytest

from fx_assets.configuration import Gate
from fx_assets.models.decision import (
    MIN_COMMON_ROWS,
    decide,
    gate_table,
    no_leak,
    not_older_than_champion,
    not_worse_than_champion,
)

SINCE = pd.Timestamp("2021-02-01T22:00Z")
NO_LEAK = {"value": 0.503, "low": 0.49, "high": 0.516}
GATES = [Gate(gate="sure", figure="auc.value", op=">", threshold=0.55, why="more than luck")]


def out_of_fold(count: int = 2400, start: str = "2021-01-04", informed: float = 0.5) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 2, count).astype(float)
    score = 0.5 + informed * 0.2 * (label - 0.5) + 0.1 * rng.standard_normal(count)
    time = pd.date_range(start, periods=count, freq="1h", tz="UTC", unit="us")
    return pd.DataFrame({"instrument": "X", "decision_time": time, "label": label, "prediction": score})


def test_without_a_champion_there_is_nothing_to_be_worse_than():
    result = not_worse_than_champion(out_of_fold(), None, None)
    assert result.passed
    assert result.reason == "there is no champion yet"


def test_too_few_common_rows_are_inconclusive_and_do_not_block():
    rows = out_of_fold(800)
    since = rows["decision_time"].iloc[-MIN_COMMON_ROWS + 1]
    result = not_worse_than_champion(rows, rows["label"].to_numpy(), since)
    assert result.passed
    assert result.reason.startswith("inconclusive: 499 rows after the champion's training, 500 needed")


def test_one_class_is_inconclusive():
    rows = out_of_fold().assign(label=1.0)
    assert "inconclusive" in not_worse_than_champion(rows, rows["prediction"].to_numpy(), SINCE).reason


def test_worse_beyond_doubt_fails_and_better_or_equal_passes():
    rows = out_of_fold()
    knows = rows["label"].to_numpy() + np.random.default_rng(1).standard_normal(len(rows)) * 0.3
    guesses = np.random.default_rng(2).random(len(rows))
    worse = not_worse_than_champion(rows, knows, SINCE)
    assert (worse.passed, worse.value < -0.05) == (False, True)
    assert "AUC difference -" in worse.reason
    better = not_worse_than_champion(rows, guesses, SINCE)
    assert (better.passed, better.value > 0.05) == (True, True)
    assert not_worse_than_champion(rows, rows["prediction"].to_numpy(), SINCE).passed


def test_rows_the_champion_was_trained_on_do_not_count():
    rows = out_of_fold()
    early = (rows["decision_time"] < SINCE).to_numpy()
    # A champion that knows its own past by heart and nothing after it.
    by_heart = np.where(early, rows["label"], np.random.default_rng(3).random(len(rows)))
    assert not_worse_than_champion(rows, by_heart, SINCE).value > 0


@pytest.mark.parametrize(
    ("canary", "passed"),
    [
        (NO_LEAK, True),
        ({"value": 0.53, "low": 0.51, "high": 0.55}, True),
        ({"value": 0.56, "low": 0.547, "high": 0.573}, False),
        ({"value": 0.44, "low": 0.427, "high": 0.453}, False),
        ({"value": 1.0, "low": 1.0, "high": 1.0}, False),
        ({"value": float("nan"), "low": float("nan"), "high": float("nan")}, False),
    ],
)
def test_the_canary_passes_only_near_a_half(canary, passed):
    result = no_leak({"random_label_auc": canary})
    assert result.passed is passed
    assert "standard errors from 0.5" in result.reason


def test_every_gate_must_pass_and_the_missed_ones_are_named():
    champion = not_worse_than_champion(out_of_fold(), None, None)
    good = decide(GATES, {"auc": {"value": 0.6}, "random_label_auc": NO_LEAK}, champion)
    assert (good["approved"], good["missed"]) == (True, [])
    assert [g["name"] for g in good["gates"]] == ["sure", "leak_canary", "not_worse_than_champion"]
    leak = {"value": 0.6, "low": 0.59, "high": 0.61}
    bad = decide(GATES, {"auc": {}, "random_label_auc": leak}, champion)
    assert (bad["approved"], bad["missed"]) == (False, ["sure", "leak_canary"])
    table = gate_table(bad).splitlines()
    assert table[2].startswith("| sure | nan | > 0.55 | **miss** | auc.value is missing")
    assert "| pass | there is no champion yet |" in table[4]


def test_a_model_of_an_earlier_session_never_replaces_the_champion():
    assert not_older_than_champion("2021-03-01", None).passed
    assert not_older_than_champion("2021-03-02", "2021-03-01").passed
    assert not_older_than_champion("2021-03-01", "2021-03-01").passed
    older = not_older_than_champion("2021-02-28", "2021-03-01")
    assert not older.passed
    assert "2021-02-28" in older.reason

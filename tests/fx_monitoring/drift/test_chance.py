"""How often undrifted windows of real, slow and correlated features call for anything, and what is still seen."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from fx_assets.features import feature_names
from fx_monitoring.configuration import DriftPolicy
from fx_monitoring.drift.chance import Chance, prepared
from fx_monitoring.drift.decide import Reading, decide
from fx_monitoring.drift.feed import alone
from fx_monitoring.drift.report import DriftReport, by_instrument, drift_figures, explaining
from tests.counts import count
from tests.fx_monitoring.drift import real

POLICY = DriftPolicy()
BLOCKS = (1, 24, 50, 100)
CALENDAR = feature_names("calendar")
LEAST_ROWS = 200  # of an instrument; blocks of 100 rows of four leave each about 500, in 20 blocks


def action_of(report: DriftReport) -> str:
    value = report.value if report.conclusive else None
    return decide([Reading("2022-03-03", datetime(2022, 3, 4, tzinfo=UTC), "1", report.rows, value)], POLICY).action


def judged(window: pd.DataFrame) -> DriftReport:
    return drift_figures(real.reference(), window, real.feature_columns(), unjudged=CALENDAR)


def windows(seed: int, name: str = "drift_windows"):
    """Undrifted windows, blocks of one length after those of another, and the generator that drew them."""
    rng = np.random.default_rng(seed)
    for number in range(count(name)):
        yield real.block_window(real.reference(), BLOCKS[number % len(BLOCKS)], rng), rng


@pytest.mark.slow(30)
def test_at_most_one_undrifted_window_in_a_hundred_calls_for_anything():
    loud = [action_of(judged(window)) not in ("none", "log") for window, _ in windows(1)]
    assert sum(loud) <= max(1, 0.01 * len(loud))


@pytest.mark.slow(30)
def test_half_a_deviation_of_one_feature_is_moderate_or_worse():
    """Any judged feature that varies, in windows of any block length; the shift is half its standard deviation."""
    spread = real.reference()[real.feature_columns()].std()
    names = [name for name in real.feature_columns() if spread[name] > 0 and name not in CALENDAR]
    seen = []
    for window, rng in windows(2):
        name = names[int(rng.integers(len(names)))]
        report = judged(window.assign(**{name: window[name] + 0.5 * float(spread[name])}))
        seen.append(next(f.level for f in report.features if f.feature == name) in ("moderate", "critical"))
    assert np.mean(seen) >= 0.95 - 1.7 * np.sqrt(0.05 * 0.95 / len(seen))


@pytest.mark.slow(30)
def test_at_most_one_undrifted_window_in_a_hundred_blocks_for_one_instrument():
    """Four instruments share the rate of false alarms; one that drifts alone would stop trading."""
    blocked, loud = [], []
    for window, _ in windows(9, "instrument_windows"):
        found = by_instrument(real.reference(), window, real.feature_columns(), LEAST_ROWS, CALENDAR)
        assert {drift.level != "inconclusive" for drift in found.values()} == {True}
        blocked.append(bool(alone(found)))
        loud.append(any(drift.level in ("moderate", "critical") for drift in found.values()))
    assert sum(blocked) <= max(1, 0.01 * len(blocked))
    assert sum(loud) <= max(1, 0.01 * len(loud))


def test_what_was_moved_is_named_first():
    window = real.block_window(real.reference(), 24, np.random.default_rng(3))
    moved = window.assign(rsi_14=window["rsi_14"] + float(real.reference()["rsi_14"].std()))
    assert explaining(judged(moved), real.reference(), CALENDAR)[0]["feature"] == "rsi_14"


def test_a_feature_and_its_likes_are_one_group():
    window = real.block_window(real.reference(), 24, np.random.default_rng(4))
    wild = [name for name in real.feature_columns() if name.startswith("realised_")]
    report = judged(window.assign(**{name: window[name] * 2.5 for name in wild}))
    explains = explaining(report, real.reference(), CALENDAR)
    assert len(explains) <= 3
    assert {name for part in explains for name in (part["feature"], *part["group"])} == set(wild)
    assert explains[0]["share"] == max(part["share"] for part in explains)
    assert sum(part["share"] for part in explains) == pytest.approx(1)


@pytest.mark.parametrize("rows", [real.WINDOW_ROWS, 6 * 96])
def test_consecutive_rows_of_the_sample_itself_call_for_nothing(rows):
    """As live traffic comes: every row of a span of time, denser than the reference's sample of it. The shorter spans
    are what sessions of hourly bars are judged by.
    """
    whole = real.sample_features().astype(dict.fromkeys(real.feature_columns(), "float32"))
    starts = np.linspace(0, len(whole) - rows, 12).astype(int)
    actions = [action_of(judged(whole.iloc[start : start + rows])) for start in starts]
    assert set(actions) <= {"none", "log"}, actions


def test_how_rows_lie_is_told_by_their_values():
    chance = prepared(real.reference(), real.feature_columns(), CALENDAR)
    rng = np.random.default_rng(5)
    found = {block: chance.window(real.block_window(real.reference(), block, rng))[0].block for block in (1, 25, 100)}
    assert found[1] == 1
    assert 25 <= found[25] <= 100
    assert 100 <= found[100] <= 400


def test_the_limits_are_those_of_independent_rows_where_rows_are_independent():
    """The index of n rows from m in ten equal bins is about (1/n + 1/m) chi-squared with 9 degrees of freedom; drawn
    from the reference itself it is 1/n of that (Yurdakul 2018).
    """
    from scipy.stats import chi2

    rng = np.random.default_rng(6)
    rows = pd.DataFrame(rng.normal(size=(4_000, 3)), columns=["a", "b", "c"])
    chance = Chance(rows, ["a", "b", "c"], rate=0.02)
    placement, shift = chance.window(rows.sample(2_000, random_state=1))
    limit = chance.noise(placement).psi
    # The rate is half for the index, shared by three features.
    expected = chi2.ppf(1 - 0.01 / 3, 9) / placement.rows
    assert limit == pytest.approx(np.full(3, expected), rel=0.2)
    assert np.all(np.abs(shift) < 0.1)


def test_the_same_rows_have_the_same_limits():
    rows = pd.DataFrame(np.random.default_rng(7).normal(size=(600, 4)), columns=list("abcd"))
    first, second = (
        Chance(rows, list("abcd"), draws=200).noise(Chance(rows, list("abcd")).window(rows)[0]) for _ in "12"
    )
    assert np.array_equal(first.psi, second.psi)
    assert np.array_equal(first.shift, second.shift)


def test_constant_missing_and_single_features_have_limits():
    rows = pd.DataFrame({"a": np.ones(600), "b": np.nan, "c": np.random.default_rng(8).normal(size=600)})
    for names in (["a", "b", "c"], ["a"], ["b"]):
        report = drift_figures(rows, rows.assign(d=range(600)), [*names])
        assert all(np.isfinite(f.noise) and f.level in ("none", "inconclusive") for f in report.features)

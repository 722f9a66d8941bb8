"""What follows from readings: each band at its edges, hysteresis, confirmation, rest, and the broken feed."""

import itertools
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_monitoring.configuration import DriftPolicy
from fx_monitoring.drift.decide import Reading, decide, held_band

POLICY = DriftPolicy()
FIRST = datetime(2022, 3, 1, 22, tzinfo=UTC)


def reading(day: int, value: float | None, **changes) -> Reading:
    at = FIRST + timedelta(days=day)
    return Reading(f"2022-03-{day + 1:02d}", at, "1", 2_000, value, **changes)


def readings(*values: float | None) -> list[Reading]:
    return [reading(day, value) for day, value in enumerate(values)]


def below(edge: float) -> float:
    return math.nextafter(edge, 0)


def above(edge: float) -> float:
    return math.nextafter(edge, math.inf)


@pytest.mark.parametrize(
    ("value", "band", "action"),
    [
        (0.0, "none", "log"),
        (below(0.10), "none", "log"),
        (0.10, "minor", "log"),
        (below(0.15), "minor", "log"),
        (0.15, "moderate", "alert"),
        (0.25, "moderate", "alert"),
        (above(0.25), "critical", "alert"),  # not confirmed yet
        (9.0, "critical", "alert"),
    ],
)
def test_bands_and_what_follows_at_their_edges(value, band, action):
    found = decide([reading(0, value)], POLICY)
    assert (found.band, found.action) == (band, action)


@pytest.mark.parametrize(
    ("held", "value", "band"),
    [
        ("critical", 0.25, "critical"),
        ("critical", 0.23, "critical"),
        ("critical", below(0.23), "moderate"),
        ("critical", below(0.13), "minor"),
        ("critical", 0.05, "none"),
        ("moderate", 0.13, "moderate"),
        ("moderate", below(0.13), "minor"),
        ("moderate", above(0.25), "critical"),
        ("minor", 0.08, "minor"),
        ("minor", below(0.08), "none"),
        ("none", below(0.10), "none"),
        ("none", 0.3, "critical"),
    ],
)
def test_a_band_is_entered_at_its_edge_and_left_a_margin_below(held, value, band):
    assert held_band(held, value, 0.02) == band


def test_hysteresis_holds_over_sessions_and_names_the_session_that_entered():
    found = decide(readings(0.16, 0.14, 0.14), POLICY)
    assert (found.band, found.entered, found.action) == ("moderate", "2022-03-01", "alert")
    assert decide(readings(0.14, 0.14), POLICY).band == "minor"
    assert decide(readings(0.16, 0.12), POLICY).action == "log"


def test_one_odd_session_does_not_retrain_and_two_running_do():
    assert decide(readings(0.02, 5.0), POLICY).action == "alert"
    assert decide(readings(5.0, 0.02, 5.0), POLICY).action == "alert"
    found = decide(readings(0.02, 5.0, 5.0), POLICY)
    assert (found.action, found.cause, found.confirmed) == ("retrain", "market", 2)
    assert found.verdict == "1-2022-03-03"
    assert found.cool_down_until == FIRST + timedelta(days=2, hours=24)


def test_a_weekend_or_a_quiet_session_neither_confirms_nor_forgets():
    assert decide(readings(5.0, None), POLICY).action == "none"
    assert decide(readings(5.0, None, 5.0), POLICY).action == "retrain"
    assert decide(readings(None, 5.0), POLICY).action == "alert"


def test_a_session_judged_every_hour_counts_once():
    hourly = [replace(reading(0, 5.0), at=FIRST + timedelta(hours=hour)) for hour in range(10)]
    assert decide(hourly, POLICY).action == "alert"


def test_windows_that_share_rows_are_one_piece_of_evidence():
    """Each is judged with the four sessions before it; one is confirmed by the next that has none of its rows."""
    made = [reading(day, 5.0, since=f"2022-03-{max(day - 4, 0) + 1:02d}") for day in range(11)]
    confirmed = [decide(made[: day + 1], POLICY).confirmed for day in range(11)]
    assert confirmed == [1] * 5 + [2] * 5 + [3]
    assert decide(made[:5], POLICY).action == "alert"
    assert decide(made[:6], POLICY).action == "retrain"
    calm = replace(made[3], value=0.01)
    assert decide([*made[:3], calm, *made[4:7]], POLICY).confirmed == 1, "the run was broken in between"


def test_worse_answers_are_of_their_own_sessions_whatever_the_window_is():
    pooled = [reading(day, 0.01, since="2022-03-01", quality_drop=0.2) for day in range(2)]
    assert decide(pooled, POLICY).action == "retrain"


def test_a_verdict_stands_for_its_session_then_rests_then_may_come_again():
    before = readings(5.0, 5.0)
    first = decide(before, POLICY)
    made = replace(before[-1], asked=first.asked, verdict=first.verdict)
    again = decide([before[0], made, replace(before[-1], at=made.at + timedelta(hours=1))], POLICY)
    assert (again.action, again.verdict, again.asked) == ("retrain", first.verdict, first.asked)
    next_day = replace(reading(2, 5.0), at=made.at + timedelta(hours=23))
    resting = decide([before[0], made, next_day], POLICY)
    assert (resting.action, resting.cool_down_until) == ("hold", made.at + timedelta(hours=24))
    later = decide([before[0], made, reading(2, 5.0)], POLICY)
    assert (later.action, later.verdict) == ("retrain", "1-2022-03-03")


def test_a_new_version_starts_anew_but_the_rest_lasts():
    asked = replace(reading(1, 5.0), asked=FIRST + timedelta(days=1), verdict="1-2022-03-02")
    fresh = replace(reading(2, 5.0), version="2")
    assert decide([reading(0, 5.0), asked, fresh], POLICY).confirmed == 1
    both = [asked, fresh, replace(reading(3, 5.0), version="2", at=asked.at + timedelta(hours=5))]
    assert decide(both, POLICY).action == "hold"


@pytest.mark.parametrize(
    "broken", [{"feed": ("missing rsi_14: 60%",)}, {"data_age_h": above(2.0)}, {"feed": ("GBP_USD alone drifts",)}]
)
def test_a_broken_feed_blocks_whatever_the_index_is(broken):
    for value in (None, 0.01, 5.0):
        found = decide([reading(0, 5.0), reading(1, value, **broken)], POLICY)
        assert (found.action, found.cause, found.verdict) == ("block", "feed", None)
        assert found.reasons


def test_sessions_of_a_broken_feed_confirm_nothing():
    missing, old = reading(0, 5.0, feed=("missing rsi_14: 60%",)), reading(0, 5.0, data_age_h=above(2.0))
    for broken in (missing, old):
        assert decide([broken, reading(1, 5.0)], POLICY).action == "alert"
        between = [reading(0, 5.0), replace(broken, session="2022-03-02"), reading(2, 5.0)]
        assert decide(between, POLICY).action == "retrain"


@pytest.mark.parametrize(
    ("changes", "name", "action"),
    [
        ({"kl": above(0.1)}, "prediction_kl", "alert"),
        ({"quality_drop": above(0.05)}, "quality", "alert"),
        ({"calibration_drift": above(0.05)}, "calibration", "alert"),
        ({"kl": 0.1, "quality_drop": 0.05, "calibration_drift": 0.05, "data_age_h": 2.0}, None, "log"),
    ],
)
def test_other_triggers_at_their_limits(changes, name, action):
    found = decide([reading(0, 0.01, **changes)], POLICY)
    assert found.action == action
    assert [trigger.name for trigger in found.triggers] == ([name] if name else [])


def test_worse_answers_retrain_when_they_last_even_where_no_window_was_judged():
    worse = [reading(day, None, quality_drop=0.2) for day in range(2)]
    assert decide(worse, POLICY).action == "retrain"
    assert decide([reading(0, 0.01), worse[1]], POLICY).action == "alert"
    diverged = [reading(day, 0.01, kl=0.5) for day in range(4)]
    assert decide(diverged, POLICY).action == "alert", "answers may differ for good reason"


def test_what_a_record_keeps_is_what_was_read():
    made = reading(0, 0.3, kl=0.2, feed=("a", "b"), asked=FIRST, verdict="1-2022-03-01")
    assert Reading.of_record(made.record()) == made
    assert Reading.of_record(reading(0, None).record()) == reading(0, None)
    assert Reading.of_record(replace(made, since="2022-02-20", sound=False).record()).since == "2022-02-20"
    older = {name: value for name, value in made.record().items() if name not in ("since", "sound")}
    assert Reading.of_record(older) == made


def test_no_reading_is_an_error():
    with pytest.raises(ValueError, match="Judge a session first"):
        decide([], POLICY)


values = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=12)


@given(values, st.randoms())
def test_the_order_of_readings_does_not_matter(found, shuffle):
    ordered = readings(*found)
    mixed = list(ordered)
    shuffle.shuffle(mixed)
    assert decide(mixed, POLICY) == decide(ordered, POLICY)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 48))
def test_retrainings_never_come_closer_than_the_rest(found, hours):
    """Sessions decided one after another, each with what the ones before it have decided."""
    policy = DriftPolicy(cool_down_hours=hours)
    done: list[Reading] = []
    asked: list[datetime] = []
    for made in readings(*found):
        decision = decide([*done, made], policy)
        if decision.action == "retrain":
            assert decision.asked == made.at
            asked.append(made.at)
        newest = max((r.asked for r in done if r.asked), default=None)
        done.append(replace(made, asked=decision.asked or newest, verdict=decision.verdict))
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    assert all(gap >= timedelta(hours=hours) for gap in gaps)

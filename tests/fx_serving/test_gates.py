"""Each gate by itself, and all of them together: pure functions of counts."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_serving.controller.gates import Sample, Totals, experiment, judge, pair
from fx_serving.controller.gates import quality as quality_gates
from fx_serving.controller.gates.evidence import Pair, control_rate
from fx_serving.controller.gates.judge import gates
from fx_serving.evidence import SlotEvidence, score_bin, time_bin
from fx_serving.policy import RolloutPolicy

POLICY = RolloutPolicy(min_requests=100, min_outcomes=40)
START = datetime(2026, 1, 5, tzinfo=UTC)


@dataclass
class Plan:
    window_s: float = 10
    min_requests: int = 100
    shadow_only: bool = False


@dataclass
class Outcome:
    timestamp: datetime
    instrument: str
    prediction: float
    direction: int | None
    value: float | None = None


def slot(n=0, bad=0, ms=3.0, score=0.5, slow=0) -> SlotEvidence:
    made = SlotEvidence({"ok": n - bad, "rescored": bad}, reasons={"exception": bad} if bad else {})
    made.answer[time_bin(ms / 1000)] += n - slow
    made.answer[time_bin(0.9)] += slow
    made.service[time_bin(ms / 1000)] += n - bad
    made.scores[score_bin(score)] += n - bad
    return made


def step(green=None, control=None, shadow=None) -> Sample:
    control = control or slot(2000)
    return Sample(green=green or slot(), control=control, shadow=shadow or slot(), blue=control)


def verdict_of(gate: str, *steps: Sample, policy=POLICY, plan=None, **totals):
    found = gates(policy, plan or Plan(), Totals(steps=steps, **totals))
    return next(one for one in found if one.gate == gate)


def test_a_good_candidate_passes_when_the_window_is_over():
    totals = Totals(steps=(step(slot(100)),))
    assert judge(POLICY, Plan(), totals, 9).kind == "wait"
    passed = judge(POLICY, Plan(), totals, 10)
    assert passed.kind == "pass"
    assert [gate.verdict for gate in passed.gates] == ["pass", "pass", "pass", "pass", "off", "off"]
    assert "0.00% over 100 requests" in passed.why


def test_too_few_requests_hold_for_ever_unless_the_policy_says_how_long():
    totals = Totals(steps=(step(slot(99)),))
    assert judge(POLICY, Plan(), totals, 10).kind == "hold"
    assert judge(POLICY, Plan(), totals, 1e9).kind == "hold"
    limited = POLICY.model_copy(update={"hold_timeout_s": 60})
    assert judge(limited, Plan(), totals, 59).kind == "hold"
    expired = judge(limited, Plan(), totals, 60)
    assert expired.kind == "expired"
    assert "99 of 100 requests" in expired.why
    assert judge(POLICY, Plan(), Totals(), 10).kind == "hold"


def test_unseen_scores_stand_for_requests_but_not_for_all_of_them():
    assert judge(POLICY, Plan(), Totals(steps=(step(slot(20), shadow=slot(80)),)), 10).kind == "pass"
    assert judge(POLICY, Plan(), Totals(steps=(step(slot(20), shadow=slot(79)),)), 10).kind == "hold"
    few = judge(POLICY, Plan(), Totals(steps=(step(slot(19), shadow=slot(5000)),)), 10)
    assert few.kind == "hold"
    assert "19 of 20 requests" in few.why


def test_errors_above_the_limit_without_an_alarm_are_no_reason_to_go_on():
    held = judge(POLICY, Plan(), Totals(steps=(step(slot(100, 3)),)), 10)
    assert held.kind == "hold"
    assert "errors: 3.00% over 100 requests is above 1.00%, but no alarm yet" in held.why
    assert 0 < (held.gates[0].statistic or 0) < 1


def test_errors_are_an_alarm_whenever_one_looks():
    breach = judge(POLICY, Plan(), Totals(steps=(step(slot(20, 5)),)), 0.3)
    assert breach.kind == "breach"
    assert "errors: 5 errors in 20 requests, 25.00%; allowed 1.00% (exception 5)" in breach.why
    assert judge(POLICY, Plan(), Totals(steps=(step(slot(2, 2)),)), 0.3).kind == "wait", "two requests are two requests"
    assert judge(POLICY, Plan(), Totals(steps=(step(slot(4, 4)),)), 0.3).kind == "breach"


def test_a_candidate_no_worse_than_the_deployed_version_is_held_not_taken_back():
    alike = step(slot(500, 25), slot(9500, 475))
    assert verdict_of("errors", alike).verdict == "inconclusive"
    assert "the deployed version fails as often" in verdict_of("errors", alike).why
    assert verdict_of("errors", step(slot(500, 60), slot(9500, 475))).verdict == "fail"


def test_steps_are_compared_each_with_its_own_control_group():
    """A quiet step with little green, a bad hour with much: summed up, green would look ten times as bad."""
    quiet, storm = step(slot(500, 2), slot(9500, 38)), step(slot(500, 50), slot(500, 50))
    assert verdict_of("errors", quiet, storm).verdict != "fail"
    found = control_rate([Pair(s.green, s.control) for s in (quiet, storm)], lambda e: (e.errors, e.requests))
    assert found is not None
    assert found[0] == pytest.approx((0.004 + 0.1) / 2)


def test_with_all_the_traffic_errors_are_tested_against_what_was_before():
    before = step(slot(500, 2), slot(500, 2))
    assert verdict_of("errors", before, step(slot(400, 2), slot())).verdict == "pass"
    assert verdict_of("errors", before, step(slot(400, 24), slot())).verdict == "fail"


def test_a_collapse_after_an_hour_of_good_answers_is_seen_at_once():
    whole = step(slot(50_000, 12), slot(50_000))
    assert verdict_of("errors", whole).verdict == "pass"
    collapsed = verdict_of("errors", whole, recent=slot(12, 12))
    assert collapsed.verdict == "fail"
    assert "all of the last 12 answers failed (exception 12)" in collapsed.why
    assert verdict_of("errors", whole, recent=slot(2, 2)).verdict == "pass"
    assert verdict_of("errors", whole, recent=slot(12, 11)).verdict == "pass"
    for everybody in (slot(12, 12), slot(200, 150)):
        assert verdict_of("errors", whole, recent=slot(12, 12), recent_control=everybody).verdict == "pass"
    for others in (slot(200, 8), slot(2, 2), slot()):
        assert verdict_of("errors", whole, recent=slot(12, 12), recent_control=others).verdict == "fail"


def test_unseen_scores_that_fail_are_an_alarm_before_anybody_is_hurt():
    found = verdict_of("errors", step(slot(3), shadow=slot(200, 20)))
    assert found.verdict == "fail"
    assert "20 errors in 200 shadow scores" in found.why


def test_slow_answers():
    assert verdict_of("p99", step(slot(100, slow=1))).verdict == "pass"
    assert verdict_of("p99", step(slot(100, slow=2))).verdict == "inconclusive"
    failed = verdict_of("p99", step(slot(100, slow=8)))
    assert failed.verdict == "fail"
    assert "8 of 100 answers took longer than 200 ms" in failed.why
    assert (failed.value or 0) > 200
    everything_is_slow = step(slot(500, slow=50), slot(9500, slow=950))
    assert verdict_of("p99", everything_is_slow).verdict == "inconclusive"


def test_latency_is_compared_with_the_control_group():
    assert verdict_of("latency_ratio", step(slot(60, ms=4))).verdict == "pass"
    failed = verdict_of("latency_ratio", step(slot(60, ms=7)))
    assert failed.verdict == "fail"
    assert "more than 1.42 times as long" in failed.why
    assert verdict_of("latency_ratio", step(slot(49, ms=7))).verdict == "inconclusive", "a new process begins slowly"
    assert verdict_of("latency_ratio", step(slot(19, ms=3))).verdict == "inconclusive"
    assert verdict_of("latency_ratio", step(slot(60, ms=300), slot())).verdict == "off"
    assert verdict_of("latency_ratio", step(slot(60, ms=1))).statistic == 0


def test_predictions_that_lie_elsewhere():
    def mixed(n, share):
        return slot(n - round(n * share), score=0.3).plus(slot(round(n * share), score=0.8))

    control = mixed(5000, 0.5)
    assert verdict_of("distribution", step(mixed(400, 0.55), control)).verdict == "pass"
    assert verdict_of("distribution", step(mixed(400, 0.75), control)).verdict == "inconclusive"
    assert verdict_of("distribution", step(mixed(400, 0.95), control)).verdict == "fail"
    other_instruments = step(mixed(400, 0.95), control, shadow=mixed(4000, 0.5))
    assert verdict_of("distribution", other_instruments).verdict == "pass", "the same questions are compared"


def test_a_dry_run_is_judged_by_unseen_scores_alone():
    plan = Plan(shadow_only=True)
    good = judge(POLICY, plan, Totals(steps=(step(shadow=slot(100)),)), 10)
    assert good.kind == "pass"
    assert [g.verdict for g in good.gates] == ["pass", "off", "off", "pass", "off", "off"]
    assert judge(POLICY, plan, Totals(steps=(step(shadow=slot(99)),)), 10).kind == "hold"
    assert judge(POLICY, plan, Totals(steps=(step(shadow=slot(100, 20)),)), 1).kind == "breach"


def test_every_gate_can_be_turned_off():
    names = ("error_rate", "p99_ms", "latency_ratio", "distribution_shift", "sharpe_drop", "brier_rise")
    off = RolloutPolicy.model_validate({"min_requests": 100, **{f"max_{name}": None for name in names}})
    terrible = Totals(steps=(step(slot(500, 400, ms=900, score=0.99)),), recent=slot(50, 50))
    found = judge(off, Plan(), terrible, 10)
    assert found.kind == "pass"
    assert {gate.verdict for gate in found.gates} == {"off"}
    assert all("is null" in gate.why for gate in found.gates)


def outcomes(edge: float, times: int = 120, instruments: int = 2, direction=True) -> list[Outcome]:
    """Predictions that are right with `edge` more confidence, of a market that goes up and down in turn."""
    found = []
    for i in range(times):
        for k in range(instruments):
            up = (i * 7 + k * 3) % 5 < 3
            gain = (1 if up else -1) * (0.5 + (i * 13 + k) % 10 / 10)
            happened = (1 if up else -1) if direction else None
            found.append(
                Outcome(START + timedelta(minutes=i), f"I{k}", 0.5 + (edge if up else -edge), happened, round(gain, 3))
            )
    return found


def quality(name: str, mine: list[Outcome], theirs: list[Outcome], policy=POLICY):
    return verdict_of(name, step(slot(100)), pairs=pair(mine, theirs), policy=policy)


def test_trading_quality_is_judged_on_the_same_events():
    same = outcomes(0.1)
    assert quality("brier", same, same).verdict == "pass"
    assert quality("brier", same, same).value == 0
    assert quality("brier", same, same).n == 240
    worse = quality("brier", outcomes(-0.1), same)
    assert worse.verdict == "fail"
    assert worse.value == pytest.approx(0.2)
    assert quality("brier", outcomes(0.085), same).verdict == "pass", "a rise within the limit"
    assert quality("brier", outcomes(-0.1, 19), outcomes(0.1, 19)).verdict == "off", "38 outcomes of 40"
    assert quality("sharpe", same, same).verdict == "pass"
    assert quality("sharpe", outcomes(-0.1), same).verdict == "fail"
    assert quality("sharpe", same, outcomes(-0.1)).verdict == "pass"
    assert "judged from 40 outcomes on" in quality("sharpe", [], same).why
    assert quality("sharpe", outcomes(0.1, 1, 60), outcomes(-0.1, 1, 60)).verdict == "off", "one time says nothing"


def test_pairs_need_the_same_time_and_instrument_and_know_the_direction_from_the_value():
    mine = [Outcome(START, "I0", 0.9, None, 2.0), Outcome(START, "I1", 0.9, 1), Outcome(START, "I2", 0.9, None)]
    theirs = [Outcome(START, "I0", 0.2, None, 2.0), Outcome(START, "I2", 0.2, None)]
    found = pair(mine, theirs)
    assert (found.n, found.traded) == (1, 1)
    assert found.rises == (pytest.approx(0.1**2 - 0.8**2),)
    assert found.returns == ((2.0, -2.0),)


def test_outcomes_that_are_the_same_as_before_are_not_computed_again(monkeypatch):
    pairs, asked = pair(outcomes(0.1, 57), outcomes(0.05, 57)), []
    count = quality_gates.pvariance
    monkeypatch.setattr(quality_gates, "pvariance", lambda values: asked.append(len(values)) or count(values))
    first = judge(POLICY, Plan(), Totals(steps=(step(slot(100)),), pairs=pairs), 5)
    said = experiment(POLICY, pairs, 5)
    assert asked
    asked.clear()
    same = RolloutPolicy.model_validate(POLICY.model_dump(mode="json"))
    assert judge(same, Plan(), Totals(steps=(step(slot(100)),), pairs=pairs), 6).gates == first.gates
    assert experiment(same, pairs, 6) == said
    assert asked == []
    more = pair(outcomes(0.1, 58), outcomes(0.05, 58))
    assert judge(same, Plan(), Totals(steps=(step(slot(100)),), pairs=more), 6).gates != first.gates
    assert asked


def test_an_experiment_ends_when_one_is_better_or_time_is_up():
    policy = POLICY.model_copy(update={"experiment_max_s": 100.0})
    good, bad = outcomes(0.1), outcomes(-0.1)
    for metric in ("brier", "sharpe"):
        by = policy.model_copy(update={"experiment_metric": metric})
        assert experiment(by, pair(good, bad), 5).kind == "green"
        assert experiment(by, pair(bad, good), 5).kind == "blue"
        assert experiment(by, pair(good, good), 5).kind == "undecided"
        assert experiment(by, pair(good, good), 100).kind == "ended"
    found = experiment(policy.model_copy(update={"experiment_metric": "sharpe"}), pair(good, bad), 5)
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert 0 < found.low < found.value < found.high
    assert experiment(policy, None, 5).kind == "undecided"
    assert experiment(policy, None, 100).kind == "ended"


@st.composite
def slots(draw):
    n = draw(st.integers(0, 3000))
    bad = draw(st.integers(0, min(n, draw(st.sampled_from([0, 3, 40, 3000])))))
    ms, score = draw(st.floats(0.001, 30_000)), draw(st.floats(0, 1))
    return slot(n, bad, ms, score, slow=draw(st.integers(0, min(n, 30)))).plus(slot(draw(st.integers(0, 50))))


samples = st.builds(Sample, green=slots(), control=slots(), shadow=slots(), blue=slots())


@given(
    steps=st.lists(samples, min_size=1, max_size=4),
    recent=slots(),
    elapsed_s=st.floats(0, 1e6),
    shadow_only=st.booleans(),
)
def test_whatever_was_counted_going_on_needs_enough_good_answers(steps, recent, elapsed_s, shadow_only):
    plan, now = Plan(shadow_only=shadow_only), steps[-1]
    found = judge(POLICY, plan, Totals(steps=tuple(steps), recent=recent), elapsed_s)
    verdicts = {gate.verdict for gate in found.gates}
    assert len(found.gates) == 6
    assert (found.kind == "breach") == ("fail" in verdicts)
    assert found.why
    if found.kind == "pass":
        assert elapsed_s >= plan.window_s
        assert verdicts <= {"pass", "off"}
        own, unseen = now.green.requests, now.shadow.requests
        assert unseen >= 100 if shadow_only else own >= 20 and own + unseen >= 100
        assert found.gates[0].value is not None
        assert found.gates[0].value <= 0.01
    again = msgspec.json.decode(msgspec.json.encode(found.gates), type=tuple[type(found.gates[0]), ...])
    assert again == found.gates

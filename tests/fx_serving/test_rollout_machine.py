"""The rollout state machine and its orders: pure, no processes, no database."""

import contextlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_serving.controller import machine, orders
from fx_serving.controller.facts import Suite
from fx_serving.controller.gates import Sample, Totals
from fx_serving.controller.machine import Evidence
from fx_serving.controller.publish import routes
from fx_serving.controller.rollout import Rollout, begin
from fx_serving.evidence import SlotEvidence, time_bin
from fx_serving.policy import RolloutPolicy
from fx_serving.state import Deployed
from tests.counts import count

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RolloutPolicy.model_validate({"steps": [5, 50, 100], "window_s": 60, "min_requests": 50})
APPROVED = RolloutPolicy.model_validate(
    {"steps": [5, {"weight": 50, "approval": True}, 100], "window_s": 60, "min_requests": 50}
)
WELL = Suite(passed=40, total=40)


def slot(n: int, errors: int = 0, ms: float = 5.0) -> SlotEvidence:
    found = SlotEvidence(outcomes={"ok": n - errors, "rescored": errors})
    found.answer[time_bin(ms / 1000)] = n
    found.service[time_bin(ms / 1000)] = n - errors
    found.scores[10] = n - errors
    return found


def evidence(n: int, errors: int = 0, elapsed_s: float = 60.0, ms: float = 5.0) -> Evidence:
    sample = Sample(green=slot(n, errors, ms), control=slot(1000), blue=slot(1000))
    return Evidence(elapsed_s=elapsed_s, applied=True, totals=Totals(steps=(sample,)))


GOOD = evidence(400)


def queued(from_version: str | None = "1", policy: RolloutPolicy = POLICY, **more) -> Rollout:
    return begin("r1", "m", "2", from_version, policy, NOW, **more)


def canary(step: int = 0, policy: RolloutPolicy = POLICY, **more) -> Rollout:
    """A rollout in its canary step `step`."""
    rollout = queued(policy=policy, **more)
    way = (Evidence(blue="1"), Evidence(verified="", salt="s"), Evidence(applied=True), Evidence(suite=WELL))
    for found in way:
        rollout = machine.advance(rollout, found, NOW)
    for _ in range(step):
        rollout = machine.advance(rollout, GOOD, NOW)
    return rollout


def test_the_whole_way():
    rollout = canary()
    assert (rollout.state, rollout.weight, rollout.salt, rollout.shadow) == ("canary", 5, "s", True)
    seen = [(rollout.state, rollout.weight)]
    for _ in range(3):
        rollout = machine.advance(rollout, GOOD, NOW)
        seen.append((rollout.state, rollout.weight))
    assert seen == [("canary", 5), ("canary", 50), ("baking", 100), ("finalizing", 100)]
    rollout = machine.advance(rollout, Evidence(applied=True), NOW)
    assert (rollout.state, rollout.finished_at) == ("succeeded", NOW)
    assert [(s.weight, s.outcome, s.requests) for s in rollout.steps] == [(w, "passed", 400) for w in (5, 50, 100)]
    assert machine.advance(rollout, Evidence(refused="late"), NOW) is rollout
    assert [e.what for e in rollout.events] == [
        "queued", "verifying", "deploying", "testing", "tested", "canary 5 %", "canary 50 %", "baking 100 %",
        "finalizing", "succeeded",
    ]  # fmt: skip
    assert rollout.events[6].detail["green"]["requests"] == 400


def test_a_first_deployment_has_nothing_to_compare_with():
    rollout = machine.advance(queued(None), Evidence(), NOW)
    rollout = machine.advance(rollout, Evidence(verified=""), NOW)
    assert (rollout.state, rollout.weight) == ("finalizing", 100)
    assert "first deployment" in rollout.events[-1].why


def test_a_refused_bundle_fails_before_any_traffic():
    rollout = machine.advance(queued(), Evidence(blue="1"), NOW)
    assert machine.advance(rollout, Evidence(), NOW) is rollout
    failed = machine.advance(rollout, Evidence(verified="hash differs"), NOW)
    assert (failed.state, failed.reason) == ("failed", "bundle refused: hash differs")


def test_a_failing_smoke_test_fails_before_any_traffic():
    rollout = machine.advance(queued(), Evidence(blue="1"), NOW)
    for found in (Evidence(verified=""), Evidence(applied=True)):
        rollout = machine.advance(rollout, found, NOW)
    assert rollout.state == "testing"
    enough = machine.advance(rollout, Evidence(suite=Suite(passed=38, total=40)), NOW)
    assert (enough.state, enough.weight) == ("canary", 5)
    failed = machine.advance(rollout, Evidence(suite=Suite(passed=37, total=40, failures=("golden row 3",))), NOW)
    assert (failed.state, failed.weight, failed.steps) == ("failed", 0, ())
    assert "37 of 40" in str(failed.reason)
    assert "golden row 3" in str(failed.reason)


def test_the_version_it_is_compared_with_is_the_one_deployed_when_its_turn_comes():
    waiting = queued("1")
    assert machine.advance(waiting, Evidence(may_start=False, blue="1"), NOW) is waiting
    assert machine.advance(waiting, Evidence(blue="3"), NOW).from_version == "3"
    late = machine.advance(waiting, Evidence(blue="2"), NOW)
    assert (late.state, late.weight) == ("failed", 0)


def test_a_failing_gate_rolls_back_with_its_figures():
    rollout = machine.advance(canary(), evidence(200, errors=60, elapsed_s=5), NOW)
    assert (rollout.state, rollout.weight) == ("rolled_back", 0)
    assert "error" in str(rollout.reason)
    assert rollout.steps[-1].outcome == "rolled_back"
    assert rollout.events[-1].detail["green"] == {
        "requests": 200, "errors": 60, "p99_ms": pytest.approx(5.3, abs=1), "reasons": {},
    }  # fmt: skip
    assert any(gate["verdict"] == "fail" for gate in rollout.events[-1].detail["gates"])


def test_want_of_evidence_holds_for_ever_unless_the_policy_says_how_long():
    rollout = machine.advance(canary(), evidence(3), NOW)
    assert (rollout.state, rollout.awaiting) == ("canary", "evidence")
    assert machine.advance(rollout, evidence(4, elapsed_s=1e6), NOW) is rollout
    limited = RolloutPolicy.model_validate({**POLICY.model_dump(mode="json"), "hold_timeout_s": 600})
    rollout = machine.advance(canary(policy=limited), evidence(3), NOW)
    rollout = machine.advance(rollout, evidence(3, elapsed_s=700), NOW)
    assert rollout.state == "rolled_back"


def test_recovery_begins_the_step_anew_behind_weight_zero():
    rollout = machine.recover(canary(step=1), NOW)
    assert (rollout.state, rollout.weight) == ("deploying", 0)
    assert [s.outcome for s in rollout.steps] == ["passed", "interrupted"]
    assert len(rollout.samples) == 1, "what was counted in the first step is not lost"
    rollout = machine.advance(rollout, Evidence(applied=True), NOW)
    assert (rollout.state, rollout.weight) == ("canary", 50)
    gone = machine.advance(machine.recover(rollout, NOW), Evidence(bundle=False), NOW)
    assert gone.state == "rolled_back"
    assert "bundle is gone" in str(gone.reason)


def test_abort_until_finalizing_and_rollback_even_then():
    stopped = orders.abort(canary(), NOW, "anna", "by hand")
    assert (stopped.state, stopped.weight, stopped.reason) == ("aborted", 0, "by hand")
    assert stopped.events[-1].actor == "anna"
    assert orders.abort(stopped, NOW, "anna", "again") is stopped
    late = canary(step=3)
    assert late.state == "finalizing"
    with pytest.raises(ValueError, match="fx rollout rollback r1"):
        orders.abort(late, NOW, "anna", "too late")
    back = orders.roll_back(late, NOW, "anna", "worse than it looked")
    assert (back.state, back.weight) == ("rolled_back", 0)
    assert orders.roll_back(back, NOW, "anna", "again") is back


def test_paused_it_goes_no_further_but_still_goes_back():
    paused = orders.pause(canary(), NOW, "anna", "lunch")
    assert orders.pause(paused, NOW, "anna", "again") is paused
    assert machine.advance(paused, GOOD, NOW) is paused
    assert machine.advance(paused, evidence(200, errors=60), NOW).state == "rolled_back"
    resumed = orders.resume(paused, NOW, "anna", "back")
    assert [s.outcome for s in resumed.steps] == ["paused", None]
    assert (resumed.weight, resumed.paused) == (5, False)
    assert orders.resume(resumed, NOW, "anna", "again") is resumed
    early = orders.pause(queued(), NOW, "anna", "not yet")
    assert machine.advance(early, Evidence(blue="1"), NOW) is early


def test_paused_before_its_first_step_it_gets_no_traffic():
    rollout = machine.advance(queued(), Evidence(blue="1"), NOW)
    for found in (Evidence(verified=""), Evidence(applied=True)):
        rollout = machine.advance(rollout, found, NOW)
    paused = orders.pause(rollout, NOW, "anna", "wait")
    tested = machine.advance(paused, Evidence(suite=WELL), NOW)
    assert (tested.state, tested.weight, tested.checked) == ("testing", 0, True)
    assert machine.advance(tested, Evidence(suite=WELL), NOW) is tested
    resumed = orders.resume(tested, NOW, "anna", "go")
    assert machine.advance(resumed, Evidence(), NOW).weight == 5


def test_a_step_that_needs_an_approval_waits_for_it():
    waiting = machine.advance(canary(policy=APPROVED), GOOD, NOW)
    assert (waiting.state, waiting.weight, waiting.awaiting) == ("canary", 5, "approval")
    assert "fx rollout approve r1" in waiting.events[-1].why
    assert machine.advance(waiting, GOOD, NOW) is waiting
    assert machine.advance(waiting, evidence(200, errors=60), NOW).state == "rolled_back"
    approved = orders.approve(waiting, NOW, "anna", "fine")
    assert orders.approve(approved, NOW, "anna", "again") is approved
    on = machine.advance(approved, GOOD, NOW)
    assert (on.weight, on.awaiting) == (50, None)
    with pytest.raises(ValueError, match="waits for no approval"):
        orders.approve(canary(), NOW, "anna", "why not")


def test_promoted_it_skips_what_is_left():
    promoted = orders.promote(canary(), NOW, "anna", "sure")
    assert (promoted.state, promoted.weight, promoted.steps[-1].outcome) == ("finalizing", 100, "promoted")
    assert orders.promote(promoted, NOW, "anna", "again") is promoted
    with pytest.raises(ValueError, match="not yet verified and tested"):
        orders.promote(queued(), NOW, "anna", "now")
    with pytest.raises(ValueError, match="dry run"):
        orders.promote(canary(dry_run=True), NOW, "anna", "now")


def test_traffic_by_hand_pauses_and_is_kept_over_a_restart():
    by_hand = orders.set_weight(canary(), NOW, "anna", "a look", 30.0)
    assert (by_hand.weight, by_hand.paused, by_hand.instruments) == (30, True, None)
    again = machine.advance(machine.recover(by_hand, NOW), Evidence(applied=True), NOW)
    assert (again.weight, again.paused) == (30, True)
    resumed = orders.resume(again, NOW, "anna", "go")
    assert (resumed.weight, resumed.manual, resumed.step) == (5, None, 0)
    with pytest.raises(ValueError, match="may have no traffic"):
        orders.set_weight(queued(), NOW, "anna", "early", 30.0)


def test_a_dry_run_says_what_would_have_happened_and_gets_no_traffic():
    rollout = canary(dry_run=True)
    assert (rollout.state, rollout.weight, rollout.shadow) == ("canary", 0, True)

    def seen(n: int, errors: int) -> Evidence:
        sample = Sample(control=slot(n), blue=slot(n), shadow=slot(n, errors))
        return Evidence(elapsed_s=60, applied=True, totals=Totals(steps=(sample,)))

    good = machine.advance(rollout, seen(400, 0), NOW)
    assert (good.state, good.weight, good.verdict["winner"]) == ("concluded", 0, "green")  # type: ignore[index]
    bad = machine.advance(rollout, seen(400, 200), NOW)
    assert (bad.state, bad.verdict["winner"]) == ("concluded", "blue")  # type: ignore[index]
    assert "would have been rolled back" in str(bad.reason)


def test_an_experiment_keeps_its_split_until_there_is_a_verdict():
    rollout = canary(kind="ab")
    assert (rollout.state, rollout.weight, rollout.last_step) == ("canary", 50, 0)
    assert machine.advance(rollout, GOOD, NOW) is rollout
    later = NOW + timedelta(seconds=POLICY.experiment_max_s + 1)
    ended = machine.advance(rollout, GOOD, later)
    assert (ended.state, ended.weight, ended.verdict["winner"]) == ("concluded", 0, "none")  # type: ignore[index]
    assert machine.advance(rollout, evidence(200, errors=60), NOW).state == "rolled_back"
    assert orders.promote(rollout, NOW, "anna", "enough seen").state == "finalizing"


def test_no_worker_no_progress():
    deploying = machine.recover(canary(), NOW)
    assert machine.advance(deploying, Evidence(elapsed_s=59), NOW) is deploying
    assert machine.advance(deploying, Evidence(elapsed_s=61), NOW).state == "rolled_back"
    live = canary()
    assert machine.advance(live, Evidence(elapsed_s=3000, behind_s=59), NOW) is live
    assert machine.advance(live, Evidence(elapsed_s=3000, behind_s=61), NOW).state == "rolled_back"


def test_steps_may_be_for_some_instruments_first():
    policy = RolloutPolicy.model_validate(
        {"steps": [{"weight": 100, "instruments": 2}, {"weight": 100}], "window_s": 1, "min_requests": 5}
    )
    rollout = queued(policy=policy)
    way = (
        Evidence(blue="1"),
        Evidence(verified="", instruments=("EUR_USD", "GBP_USD", "USD_JPY")),
        Evidence(applied=True),
        Evidence(suite=WELL),
    )
    for found in way:
        rollout = machine.advance(rollout, found, NOW)
    assert (rollout.weight, rollout.instruments, rollout.shadow) == (100, ("EUR_USD", "GBP_USD"), True)
    green = routes({"m": Deployed(version="1", rollout_id="r0", at=NOW)}, [rollout], NOW)["m"].green
    assert green is not None
    assert green.instruments == ("EUR_USD", "GBP_USD")
    rollout = machine.advance(rollout, GOOD, NOW)
    assert (rollout.state, rollout.instruments, rollout.shadow) == ("baking", None, False)


evidences = st.builds(
    lambda n, errors, ms, **rest: Evidence(
        totals=Totals(steps=(Sample(green=slot(n, min(errors, n), ms), control=slot(200), blue=slot(200)),)), **rest
    ),
    n=st.integers(0, 500),
    errors=st.integers(0, 5),
    ms=st.floats(0.1, 400),
    elapsed_s=st.floats(0, 2000),
    behind_s=st.sampled_from([0.0, 0.0, 0.0, 100.0]),
    may_start=st.booleans(),
    blue=st.sampled_from(["1", "1", "1", "9", None]),
    verified=st.sampled_from([None, "", "", "bad"]),
    applied=st.sampled_from([True, True, False]),
    refused=st.sampled_from([None, None, None, None, "no"]),
    bundle=st.sampled_from([True, True, True, True, False]),
    suite=st.sampled_from([None, WELL, WELL, Suite(passed=0, total=40)]),
)
ORDERS = {
    "pause": orders.pause, "resume": orders.resume, "approve": orders.approve, "promote": orders.promote,
    "abort": orders.abort, "rollback": orders.roll_back,
    "traffic": lambda r, now, who, why: orders.set_weight(r, now, who, why, 30.0),
    "supersede": lambda r, now, who, why: r if r.finished else orders.supersede(r, now, "r2", "3"),
}  # fmt: skip


@settings(max_examples=count("property_examples") * 5, deadline=None)
@given(
    first=st.booleans(),
    policy=st.sampled_from([POLICY, APPROVED]),
    more=st.sampled_from([{}, {}, {"kind": "ab"}, {"dry_run": True}]),
    steps=st.lists(st.one_of(evidences, evidences, st.sampled_from(["crash", *ORDERS])), max_size=40),
)
def test_whatever_happens_traffic_is_only_sent_to_a_verified_and_tested_bundle_and_ends_leave_none(
    first, policy, more, steps
):
    rollout = queued(None if first else "1", policy, **more)
    verified = tested = False
    for step in steps:
        before = rollout
        if step == "crash":
            rollout = rollout if rollout.finished else machine.recover(rollout, NOW)
        elif isinstance(step, str):
            with contextlib.suppress(ValueError):  # what cannot be is refused, and changes nothing
                rollout = ORDERS[step](rollout, NOW, "anna", "why")
        else:
            verified = verified or (rollout.state == "verifying" and step.verified == "")
            tested = tested or (rollout.state == "testing" and step.suite is WELL)
            rollout = machine.advance(rollout, step, NOW)
        if before.finished and (before.state, step) != ("succeeded", "rollback"):
            assert rollout is before
        if rollout.weight > 0:
            assert verified
            assert tested or rollout.from_version is None
        if rollout.finished and rollout.state != "succeeded":
            assert rollout.weight == 0
            assert not rollout.shadow
        if rollout.dry_run:
            assert rollout.weight == 0
        if before.paused and rollout.paused and isinstance(step, Evidence):
            assert rollout.weight in (0, before.weight) or before.state == "deploying"
        if rollout.weight == 50 and policy is APPROVED and rollout.kind == "canary" and not rollout.manual:
            assert any(e.what.startswith("approved") for e in rollout.events)
        assert rollout.events[: len(before.events)] == before.events
        assert sum(s.ended_at is None for s in rollout.steps) <= 1
        again = msgspec.json.decode(msgspec.json.encode(rollout), type=Rollout)
        assert again == rollout


def test_policies_are_checked():
    for bad in ([100, 50], [5, 50], [0, 100], [], [5, 5, 100]):
        with pytest.raises(ValueError, match="steps"):
            RolloutPolicy.model_validate({"steps": bad})


def test_rollouts_of_an_earlier_release_are_still_read():
    old = (
        b'{"id":"r1","model":"m","version":"2","from_version":"1","state":"succeeded","weight":100.0,'
        b'"created_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:10:00Z","reason":"done",'
        b'"policy":{"steps":[5,100],"window_s":60,"min_requests":50,"max_error_rate":0.01,"max_p99_ms":200,'
        b'"consecutive_failures":3,"hold_timeout_s":600,"apply_timeout_s":60},"steps":[{"weight":5.0,'
        b'"started_at":"2026-01-01T00:00:00Z","ended_at":"2026-01-01T00:10:00Z","requests":9,"errors":0,'
        b'"error_rate":0.0,"p99_ms":1.0,"outcome":"passed"}],"events":[{"at":"2026-01-01T00:00:00Z","what":"queued",'
        b'"why":"from version 1"}],"step":1,"breaches":0,"judged_requests":0,"holding":false,"request_id":null}'
    )
    rollout = msgspec.json.decode(old, type=Rollout)
    assert (rollout.state, rollout.kind, rollout.steps[0].gates) == ("succeeded", "canary", ())
    assert rollout.view()["steps"][0]["weight"] == 5

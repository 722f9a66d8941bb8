"""The rollout state machine, its gates, its database: no processes."""

import itertools
import sqlite3
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_serving.config import RolloutPolicy
from fx_serving.controller import rollout as machine
from fx_serving.controller.gates import Window, judge
from fx_serving.controller.publish import routes
from fx_serving.controller.rollout import Evidence, Rollout
from fx_serving.controller.store import Store
from fx_serving.counts import SlotCounts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RolloutPolicy(steps=(5, 50, 100), window_s=60, min_requests=50, consecutive_failures=3)
GOOD = Window(requests=100, errors=0, p99_ms=5)


def canary(from_version: str | None = "1", step: int = 0) -> Rollout:
    """A rollout in its canary step `step`."""
    rollout = machine.begin("r1", "m", "2", from_version, POLICY, NOW)
    for evidence in (Evidence(), Evidence(verified=""), Evidence(applied=True)):
        rollout = machine.advance(rollout, evidence, NOW)
    for _ in range(step):
        rollout = machine.advance(rollout, Evidence(elapsed_s=60, applied=True, window=GOOD), NOW)
    return rollout


def on(rollout: Rollout, window: Window, elapsed_s: float = 60) -> Rollout:
    return machine.advance(rollout, Evidence(elapsed_s=elapsed_s, applied=True, window=window), NOW)


def test_the_whole_way():
    rollout = canary()
    assert (rollout.state, rollout.weight) == ("canary", 5)
    seen = [rollout.weight]
    for _ in range(3):
        rollout = on(rollout, GOOD)
        seen.append(rollout.weight)
    assert seen == [5, 50, 100, 100]
    assert rollout.state == "finalizing"
    rollout = machine.advance(rollout, Evidence(applied=True), NOW)
    assert (rollout.state, rollout.finished_at) == ("succeeded", NOW)
    assert [(s.weight, s.outcome, s.requests) for s in rollout.steps] == [(w, "passed", 100) for w in (5, 50, 100)]
    assert machine.advance(rollout, Evidence(refused="late"), NOW) is rollout


def test_a_first_deployment_has_nothing_to_compare_with():
    rollout = machine.begin("r1", "m", "1", None, POLICY, NOW)
    rollout = machine.advance(rollout, Evidence(), NOW)
    rollout = machine.advance(rollout, Evidence(verified=""), NOW)
    assert (rollout.state, rollout.weight) == ("finalizing", 100)
    assert "first deployment" in rollout.events[-1].why


def test_a_refused_bundle_fails_before_any_traffic():
    rollout = machine.advance(machine.begin("r1", "m", "2", "1", POLICY, NOW), Evidence(), NOW)
    assert machine.advance(rollout, Evidence(), NOW) is rollout
    failed = machine.advance(rollout, Evidence(verified="hash differs"), NOW)
    assert (failed.state, failed.reason) == ("failed", "bundle refused: hash differs")


@pytest.mark.parametrize(
    ("window", "elapsed_s", "kind"),
    [
        (Window(), 10, "wait"),
        (Window(49, 0, 5), 70, "hold"),
        (Window(49, 0, 5), 600, "expired"),
        (Window(50, 0, 5), 59, "wait"),
        (Window(50, 0, 5), 60, "pass"),
        (Window(100, 1, 5), 60, "pass"),
        (Window(100, 2, 5), 60, "breach"),
        (Window(100, 2, 5), 1, "breach"),
        (Window(100, 0, 201), 1, "breach"),
        (Window(10, 2, 5), 1, "wait"),
        (Window(10, 3, 5), 1, "breach"),
    ],
)
def test_gates(window, elapsed_s, kind):
    assert judge(POLICY, window, elapsed_s).kind == kind


def test_one_bad_sample_does_not_roll_back_three_do():
    rollout = canary()
    rollout = on(rollout, Window(50, 2, 5))
    assert (rollout.state, rollout.breaches) == ("canary", 1)
    assert on(rollout, Window(50, 2, 5)) is rollout, "the same evidence is not another failure"
    rollout = on(rollout, Window(60, 3, 5))
    recovered = on(rollout, Window(400, 3, 5), elapsed_s=59)
    assert (recovered.state, recovered.breaches) == ("canary", 0)
    rollout = on(rollout, Window(70, 4, 5))
    assert (rollout.state, rollout.weight) == ("rolled_back", 0)
    assert "error rate" in str(rollout.reason)
    assert rollout.steps[-1].outcome == "rolled_back"


def test_want_of_evidence_holds_then_rolls_back():
    rollout = on(canary(), Window(3, 0, 5))
    assert rollout.holding
    assert on(rollout, Window(4, 0, 5)) is rollout
    rollout = on(rollout, Window(4, 0, 5), elapsed_s=600)
    assert rollout.state == "rolled_back"
    assert "want of evidence" in str(rollout.reason)


def test_recovery_begins_the_step_anew_behind_weight_zero():
    rollout = machine.recover(canary(step=1), NOW)
    assert (rollout.state, rollout.weight) == ("deploying", 0)
    assert rollout.steps[-1].outcome == "interrupted"
    rollout = machine.advance(rollout, Evidence(applied=True), NOW)
    assert (rollout.state, rollout.weight) == ("canary", 50)
    gone = machine.advance(machine.recover(rollout, NOW), Evidence(bundle=False), NOW)
    assert gone.state == "rolled_back"
    assert "bundle is gone" in str(gone.reason)


def test_abort_until_finalizing():
    stopped = machine.abort(canary(), Evidence(window=GOOD), NOW, "by hand")
    assert (stopped.state, stopped.weight, stopped.reason) == ("aborted", 0, "by hand")
    late = machine.advance(canary(step=2), Evidence(elapsed_s=60, applied=True, window=GOOD), NOW)
    assert late.state == "finalizing"
    with pytest.raises(ValueError, match="roll out version 1"):
        machine.abort(late, Evidence(), NOW, "too late")


def test_no_worker_no_progress():
    deploying = machine.recover(canary(), NOW)
    assert machine.advance(deploying, Evidence(elapsed_s=59), NOW) is deploying
    assert machine.advance(deploying, Evidence(elapsed_s=61), NOW).state == "rolled_back"


evidences = st.builds(
    Evidence,
    elapsed_s=st.floats(0, 2000),
    verified=st.sampled_from([None, "", "bad"]),
    applied=st.booleans(),
    refused=st.sampled_from([None, None, None, "no"]),
    bundle=st.sampled_from([True, True, True, False]),
    window=st.builds(Window, st.integers(0, 500), st.integers(0, 5), st.floats(0.1, 400)),
)


@given(first=st.booleans(), steps=st.lists(st.one_of(evidences, st.just("crash"), st.just("abort")), max_size=40))
def test_whatever_happens_traffic_is_only_sent_to_a_verified_bundle_and_ends_leave_none(first, steps):
    rollout = machine.begin("r1", "m", "2", None if first else "1", POLICY, NOW)
    verified = False
    for step in steps:
        before = rollout
        if step == "crash":
            rollout = rollout if rollout.finished else machine.recover(rollout, NOW)
        elif step == "abort":
            if rollout.state in ("queued", "verifying", "deploying", "canary"):
                rollout = machine.abort(rollout, Evidence(), NOW, "x")
        else:
            verified = verified or (rollout.state == "verifying" and step.verified == "")
            rollout = machine.advance(rollout, step, NOW)
        if before.finished:
            assert rollout is before
        if rollout.weight > 0:
            assert verified
        if rollout.state in ("rolled_back", "failed", "aborted"):
            assert rollout.weight == 0
        assert rollout.events[: len(before.events)] == before.events
        again = msgspec.json.decode(msgspec.json.encode(rollout), type=Rollout)
        assert again == rollout


def test_policies_are_checked():
    for bad in ([100, 50], [5, 50], [0, 100], [], [5, 5, 100]):
        with pytest.raises(ValueError, match="steps"):
            RolloutPolicy(steps=tuple(bad))


def test_quantiles_are_interpolated_between_bounds():
    counts = SlotCounts({}, {0.001: 0, 0.002: 50, 0.004: 100, float("inf"): 100})
    assert counts.quantile_ms(0.5) == pytest.approx(2.0)
    assert counts.quantile_ms(0.75) == pytest.approx(3.0)
    assert SlotCounts({}, {0.001: 0, float("inf"): 10}).quantile_ms(0.99) == pytest.approx(1.0)
    assert SlotCounts().quantile_ms(0.99) is None


def test_state_and_audit_commit_together_and_a_changed_record_shows(tmp_path):
    store = Store(tmp_path / "state.db")
    rollout = canary(step=2)
    for n in range(len(rollout.events)):
        store.save(rollout, rollout.events[n : n + 1])
    assert store.broken_audit() is None
    assert store.active() == [rollout]
    assert routes({"m": "1"}, store.active())["m"].green.weight == 100  # type: ignore[union-attr]
    generation = store.generation()
    other = machine.begin("r2", "m", "3", "1", POLICY, NOW)
    with pytest.raises(sqlite3.IntegrityError):  # a second active rollout of one model
        store.save(other, other.events, deploy="3")
    assert store.generation() == generation
    assert store.deployed() == {}
    assert store.get("r2") is None
    store.close()
    with sqlite3.connect(tmp_path / "state.db") as db:
        assert db.execute("SELECT count(*) FROM audit").fetchone()[0] == len(rollout.events)
        db.execute("UPDATE audit SET why='harmless' WHERE seq=3")
    db.close()
    store = Store(tmp_path / "state.db")
    assert store.broken_audit() == 3
    store.close()


def test_deployed_versions_follow_commits(tmp_path):
    store = Store(tmp_path / "state.db")
    rollout = machine.begin("r1", "m", "2", None, POLICY, NOW)
    store.save(rollout, rollout.events, deploy="2")
    assert store.deployed() == {"m": "2"}
    store.save(rollout, (), undeploy=True)
    assert store.deployed() == {}
    assert [a < b for a, b in itertools.pairwise([0, store.generation()])] == [True]
    store.close()

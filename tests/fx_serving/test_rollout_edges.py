"""Rollouts at their edges: evidence that cannot be judged, waits over a restart, other models' candidates, old ends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from fx_serving.controller import machine, orders
from fx_serving.controller.core import UNJUDGED_S
from fx_serving.controller.facts import Suite
from fx_serving.controller.gates import Sample, Totals
from fx_serving.controller.machine import Evidence
from fx_serving.controller.rollout import Rollout, begin
from fx_serving.dataplane.errors import ApiError
from fx_serving.evidence import SlotEvidence, time_bin
from fx_serving.ingest.query import Outcome
from fx_serving.policy import RolloutPolicy
from tests.fx_serving.rollout_world import START, Home, run, whole

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = {"steps": [5, 50, 100], "window_s": 60, "min_requests": 50}


def slot(n: int, errors: int = 0) -> SlotEvidence:
    found = SlotEvidence(outcomes={"ok": n - errors, "rescored": errors})
    found.answer[time_bin(0.005)] = n
    found.service[time_bin(0.005)] = n - errors
    found.scores[10] = n - errors
    return found


def evidence(n: int, errors: int = 0, elapsed_s: float = 60.0) -> Evidence:
    sample = Sample(green=slot(n, errors), control=slot(1000), blue=slot(1000))
    return Evidence(elapsed_s=elapsed_s, applied=True, totals=Totals(steps=(sample,)))


def advanced(policy: dict, *found: Evidence, **more) -> Rollout:
    """A rollout that has seen this, after its verification."""
    rollout = begin("r1", "m", "2", "1", RolloutPolicy.model_validate({**STEPS, **policy}), NOW, **more)
    for one in (Evidence(blue="1"), Evidence(verified="", salt="s"), Evidence(applied=True), *found):
        rollout = machine.advance(rollout, one, NOW)
    return rollout


TESTED = Evidence(suite=Suite(passed=40, total=40))


def test_it_is_taken_back_while_workers_load_another_models_candidate_and_goes_on_only_after_that():
    rollout = advanced({}, TESTED)
    failing, good = (replace(evidence(400, errors), applied=False, behind_s=5) for errors in (200, 0))
    assert machine.advance(rollout, failing, NOW).state == "rolled_back"
    assert machine.advance(rollout, good, NOW) is rollout
    assert machine.advance(rollout, replace(good, applied=True), NOW).weight == 50


@pytest.mark.parametrize("why", ["approval", "pause"])
def test_one_that_waits_for_a_person_before_its_first_step_waits_on_after_a_restart(why):
    """Workers that are replaced meanwhile do not confirm for a moment: nothing that would end it."""
    policy = {"steps": [{"weight": 5, "approval": why == "approval"}, 100]}
    rollout = advanced(policy)
    if why == "pause":
        rollout = orders.pause(rollout, NOW, "anna", "lunch")
    rollout = machine.recover(machine.advance(rollout, TESTED, NOW), NOW)
    for _ in range(3):
        rollout = machine.advance(rollout, Evidence(applied=True, elapsed_s=30), NOW)
    assert machine.advance(rollout, Evidence(applied=False, elapsed_s=7200), NOW) is rollout
    go_on = orders.approve if why == "approval" else orders.resume
    rollout = machine.advance(go_on(rollout, NOW, "anna", "seen"), Evidence(), NOW)
    assert (rollout.state, rollout.weight) == ("canary", 5)


def test_an_experiment_has_its_own_time_and_is_not_ended_for_want_of_evidence():
    rollout = advanced({"hold_timeout_s": 600}, TESTED, kind="ab")
    assert machine.advance(rollout, evidence(3, elapsed_s=700), NOW) is rollout
    later = NOW + timedelta(seconds=rollout.settings.experiment_max_s + 1)
    assert machine.advance(rollout, evidence(3, elapsed_s=700), later).state == "concluded"


async def in_canary(home: Home, policy: dict | None = None) -> str:
    await home.deploy("1")
    id = home.engine.start("m", "2", policy).id
    await home.until(id, "canary")
    return id


@pytest.mark.parametrize("limit", [0.0, 0.9, 0.97, 0.999])
def test_every_error_rate_that_is_accepted_can_be_judged(tmp_path, limit):
    async def way():
        home = Home(tmp_path)
        id = await in_canary(home, {"max_error_rate": limit, "max_p99_ms": None, "max_latency_ratio": None})
        await home.ticks()
        home.world.answer("m", "1", "control", 2000)
        home.world.answer("m", "2", "green", 20_000, errors=20_000)
        await home.ticks(3)
        assert home.engine.get(id).state == "rolled_back"
        assert whole(home)
        home.engine.close()

    run(way())


def happened(value: float) -> list[Outcome]:
    begun = START - timedelta(days=30)
    return [
        Outcome(begun + timedelta(hours=i), "EUR_USD", 0.7, None, value if i == 0 else 0.001 * (1 + i % 3))
        for i in range(300)
    ]


@pytest.mark.parametrize("value", [1e200, -1.7e308])
def test_absurd_feedback_does_not_keep_the_gates_from_judging(tmp_path, value):
    async def way():
        home = Home(tmp_path, {"min_outcomes": 100, "max_sharpe_drop": 0.2, "max_brier_rise": 0.02})
        home.world.happened = {"1": happened(value), "2": happened(value)}
        id = await in_canary(home)
        await home.ticks(5)
        gates = {gate["gate"]: gate["verdict"] for gate in home.engine.view(home.engine.get(id))["gates"]}
        assert (gates["sharpe"], gates["brier"]) == ("pass", "pass")
        await home.traffic(id, 4000, errors=150)
        assert home.engine.get(id).state == "rolled_back"
        home.engine.close()

    run(way())


def test_a_candidate_that_cannot_be_judged_is_taken_back(tmp_path):
    async def way():
        home = Home(tmp_path)
        id = await in_canary(home)
        counts, broken = home.world.counts, OSError(24, "Too many open files")

        def fails():
            raise broken

        home.world.counts = fails
        await home.ticks(2, UNJUDGED_S / 3)
        home.world.counts = counts
        await home.ticks(1)
        home.world.counts = fails
        await home.ticks(3, UNJUDGED_S / 3)
        assert home.engine.get(id).state == "canary", "only for so long without a break"
        await home.ticks(2, UNJUDGED_S / 3)
        done = home.engine.get(id)
        assert (done.state, home.table().models["m"].green) == ("rolled_back", None)
        assert "could not be judged" in str(done.reason)
        assert "Too many open files" in str(done.reason)
        assert whole(home)
        home.engine.close()

    run(way())


def test_what_runs_is_listed_however_old_it_is(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        experiment = home.engine.start("m", "2", kind="ab").id
        await home.until(experiment, "canary")
        for version in "3456":
            home.clock.passed += 1
            newest = home.engine.start("m", version, dry_run=True).id
        assert [r.id for r in home.engine.all(limit=1)] == [newest]
        assert [r.id for r in home.engine.all(limit=1, and_running=True)] == [newest, experiment]
        assert [r.id for r in home.engine.all(limit=2, and_running=True, model="n")] == []
        home.engine.close()

    run(way())


def test_a_bake_that_a_restart_interrupted_is_not_superseded(tmp_path):
    async def way():
        home = Home(tmp_path)
        id = await in_canary(home)
        while home.engine.get(id).state != "baking":
            await home.traffic(id, 2000)
        home.restart()
        assert home.engine.get(id).state == "deploying"
        newer = home.engine.start("m", "3").id
        assert home.engine.get(id).state == "deploying"
        await home.until(id, "baking")
        assert home.engine.get(newer).state == "queued"
        home.engine.abort(id)
        await home.until(newer, "canary")
        home.restart()
        home.engine.start("m", "4")
        assert home.engine.get(newer).state == "superseded", "a step before the last one is no bake"
        home.engine.close()

    run(way())


def test_the_way_back_twice_says_what_can_be_done(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        ids = []
        for version in ("2", "3"):
            ids.append(home.engine.start("m", version).id)
            await home.until(ids[-1], "canary")
            home.engine.promote(ids[-1])
            await home.until(ids[-1], "succeeded")
        with pytest.raises(ApiError, match=f"roll that one back: {ids[1]}"):
            home.engine.rollback(ids[0])
        home.engine.rollback(ids[1])
        assert home.table().models["m"].blue == "2"
        with pytest.raises(ApiError, match=r"no earlier version is held ready.*fx rollout start"):
            home.engine.rollback(ids[0])
        home.engine.close()

    run(way())


def test_a_smoke_test_that_takes_too_long_is_named(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")

        async def takes_too_long(rollout):
            raise TimeoutError

        home.world.suite = takes_too_long
        done = await home.until(home.engine.start("m", "2").id, "failed")
        assert "the suite could not run: TimeoutError" in str(done.reason)
        home.engine.close()

    run(way())


def test_a_moment_in_which_everything_fails_for_everybody_is_not_the_candidates_fault(tmp_path):
    async def way():
        home = Home(tmp_path)
        id = await in_canary(home, {"steps": [50, 100], "window_s": 600})
        for at in range(200):
            bad = 20 if at == 150 else 0
            for slot_, version in (("green", "2"), ("control", "1"), ("blue", "1")):
                home.world.answer("m", version, slot_, 20, errors=bad)
            await home.ticks(1, 0.6)
        assert home.engine.get(id).state == "canary", home.engine.get(id).reason
        for _ in range(4):
            home.world.answer("m", "2", "green", 20, errors=20)
            home.world.answer("m", "1", "control", 20)
            await home.ticks(1, 0.6)
        assert home.engine.get(id).state == "rolled_back"
        home.engine.close()

    run(way())


def test_a_step_that_an_order_ends_keeps_its_own_gates(tmp_path):
    """And the rollout shows no figures of a step before."""

    async def way():
        home = Home(tmp_path, {"window_s": 600})
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        orders = [
            lambda: home.engine.traffic("m", 70, 30),
            lambda: home.engine.resume(id),
            lambda: home.engine.promote(id),
        ]
        for n, order in enumerate(orders, start=1):
            await home.traffic(id, 400 * n)
            shown = home.engine.view(home.engine.get(id))["steps"][-1]
            after = order()
            assert [g.gate for g in after.steps[n - 1].gates] == [g["gate"] for g in shown["gates"]]
            figures = {g.gate: g.n for g in after.steps[n - 1].gates}
            assert figures == {g["gate"]: g["n"] for g in shown["gates"]}
            assert after.gates == (after.steps[-1].gates if n == len(orders) else ())
        assert len({step.gates for step in after.steps}) == 3
        home.engine.close()

    run(way())


def test_an_order_is_carried_out_where_the_gates_cannot_be_judged(tmp_path, monkeypatch):
    async def way():
        home = Home(tmp_path, {"window_s": 600})
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        await home.traffic(id, 400)
        monkeypatch.setattr("fx_serving.controller.steps.judge", lambda *_: 1 / 0)
        done = home.engine.abort(id)
        assert (done.state, done.gates, done.steps[-1].gates) == ("aborted", (), ())
        home.engine.close()

    run(way())


def test_traffic_of_a_model_that_nobody_knows(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        with pytest.raises(ApiError) as unknown:
            home.engine.traffic("foo", 70, 30)
        assert (unknown.value.status, unknown.value.detail) == (404, "model: 'foo' is not deployed. Known: m.")
        with pytest.raises(ApiError, match="no candidate") as none:
            home.engine.traffic("m", 70, 30)
        assert none.value.status == 409
        home.engine.close()

    run(way())

"""The real engine, database and routing table over a world without processes."""

from datetime import timedelta

import pytest

from fx_serving.controller.facts import Suite
from fx_serving.dataplane.errors import ApiError
from fx_serving.ingest.query import Outcome
from tests.fx_serving.rollout_world import START, Home, run, whole


def test_the_whole_way_and_what_is_published_at_each_step(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2", actor="anna", reason="new features").id
        await home.until(id, "canary")
        weights = [home.table().models["m"].green.weight]
        assert home.table().models["m"].green.salt.startswith(id)
        while not home.engine.get(id).finished:
            await home.traffic(id, 2000)
            green = home.table().models["m"].green
            weights.append(green.weight if green else None)
        done = home.engine.get(id)
        assert (done.state, done.actor, done.from_version) == ("succeeded", "anna", "1")
        assert [w for w in weights if w] == [5, 50, 100]
        route = home.table().models["m"]
        assert (route.blue, route.green, route.standby.version) == ("2", None, "1")
        view = home.engine.view(done)
        assert [s["requests"] for s in view["steps"]] == [100, 1000, 2000]
        assert {g["gate"] for g in view["steps"][0]["gates"]} >= {"errors", "p99"}
        assert view["events"][0]["actor"] == "anna"
        assert whole(home)
        trail = home.engine.state.audit(limit=500)
        assert [r.what for r in trail if r.rollout_id == id] == [e.what for e in done.events]
        home.engine.close()

    run(way())


def test_the_version_before_is_held_ready_and_one_call_brings_it_back(tmp_path):
    async def way():
        home = Home(tmp_path, keep_hot_s=100)
        await home.deploy("1")
        with pytest.raises(ApiError, match="no earlier version is held ready"):
            home.engine.restore("m")
        for version in ("2", "3"):
            id = home.engine.start("m", version).id
            await home.until(id, "canary")
            home.engine.promote(id, "anna", "sure")
            await home.until(id, "succeeded")
        first = home.engine.all(model="m")[1]
        with pytest.raises(ApiError, match=r"version 3 was deployed after it"):
            home.engine.rollback(first.id)
        compared = home.engine.start("m", "4").id
        await home.until(compared, "canary")
        generation = home.table().generation
        back = home.engine.rollback(id, "anna", "wrong in a way no gate sees")
        route = home.table().models["m"]
        assert (route.blue, route.green, route.standby) == ("2", None, None)
        assert home.table().generation > generation
        assert (back.state, back.weight, back.events[-1].actor) == ("rolled_back", 0, "anna")
        assert home.engine.get(compared).state == "rolled_back"
        assert home.engine.rollback(id).state == "rolled_back"
        with pytest.raises(ApiError) as late:
            home.engine.restore("m")
        assert late.value.status == 409
        assert whole(home)
        home.engine.close()

    run(way())


def test_a_standby_is_released_when_its_time_is_over(tmp_path):
    async def way():
        home = Home(tmp_path, keep_hot_s=100)
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        home.engine.promote(id)
        await home.until(id, "succeeded")
        assert home.table().models["m"].standby.version == "1"
        await home.ticks(2, 60)
        assert home.table().models["m"].standby is None
        assert home.engine.state.audit(limit=1, newest_first=True)[0].what == "standby released"
        with pytest.raises(ApiError, match="held ready"):
            home.engine.rollback(id)
        home.engine.close()

    run(way())


def test_a_newer_candidate_supersedes_or_waits_as_the_policy_says(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        second = home.engine.start("m", "2").id
        await home.until(second, "canary")
        third = home.engine.start("m", "3").id
        assert home.engine.get(second).state == "superseded"
        assert home.engine.get(second).superseded_by == third
        assert home.table().models["m"].green is None
        await home.until(third, "canary")
        assert home.table().models["m"].green.version == "3"
        waits = home.engine.start("m", "4", {"supersede": "queued"}).id
        await home.ticks(5)
        assert (home.engine.get(third).state, home.engine.get(waits).state) == ("canary", "queued")
        newest = home.engine.start("m", "5", {"supersede": "queued"}).id
        assert home.engine.get(waits).state == "superseded", "of those that wait, the newest is enough"
        home.engine.abort(third)
        await home.until(newest, "canary")
        while home.engine.get(newest).state != "baking":
            await home.traffic(newest, 2000)
        last = home.engine.start("m", "6").id
        await home.ticks(5)
        assert (home.engine.get(newest).state, home.engine.get(last).state) == ("baking", "queued")
        await home.traffic(newest, 2000)
        await home.until(last, "canary")
        assert home.engine.get(last).from_version == "5"
        assert whole(home)
        home.engine.close()

    run(way())


def test_models_roll_out_side_by_side_up_to_the_limit(tmp_path):
    async def way():
        home = Home(tmp_path, max_active_rollouts=2)
        for model in "abc":
            await home.deploy("1", model)
        ids = [home.engine.start(model, "2").id for model in "abc"]
        await home.ticks(10)
        assert [home.engine.get(id).state for id in ids] == ["canary", "canary", "queued"]
        assert {m for m, r in home.table().models.items() if r.green} == {"a", "b"}
        home.engine.abort(ids[0])
        await home.until(ids[2], "canary")
        home.engine.close()

    run(way())


def test_an_experiment_is_not_ended_by_a_candidate(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        experiment = home.engine.start("m", "2", kind="ab").id
        await home.until(experiment, "canary")
        assert home.table().models["m"].green.weight == 50
        waits = home.engine.start("m", "3").id
        await home.ticks(5)
        assert [home.engine.get(i).state for i in (experiment, waits)] == ["canary", "queued"]
        home.engine.promote(experiment)
        await home.until(waits, "canary")
        assert home.engine.get(waits).from_version == "2"
        home.engine.close()

    run(way())


def told(n: int, right: float, wrong: float) -> list[Outcome]:
    """Predictions of n events that all went up: one in ten is wrong."""
    begun = START - timedelta(days=30)
    return [
        Outcome(begun + timedelta(hours=i), "EUR_USD", wrong if i % 10 == 0 else right, 1, 0.001 * (1 + i % 3))
        for i in range(n)
    ]


def test_an_experiment_ends_with_a_verdict_and_without_traffic(tmp_path):
    async def way():
        home = Home(tmp_path, {"min_outcomes": 100})
        await home.deploy("1")
        id = home.engine.start("m", "2", kind="ab").id
        await home.until(id, "canary")
        await home.traffic(id, 400)
        assert home.engine.get(id).state == "canary", "no outcomes, no verdict"
        home.world.happened = {"1": told(400, 0.55, 0.45), "2": told(400, 0.8, 0.3)}
        await home.ticks(40)
        done = home.engine.get(id)
        assert done.verdict is not None
        assert (done.state, done.weight, done.verdict["winner"]) == ("concluded", 0, "green")
        assert done.verdict["figures"]["n"] == 400
        assert (home.table().models["m"].blue, home.table().models["m"].green) == ("1", None)
        home.engine.close()

    run(way())


def test_a_candidate_that_decides_worse_is_taken_back(tmp_path):
    async def way():
        home = Home(tmp_path, {"min_outcomes": 100, "max_brier_rise": 0.02, "window_s": 3600})
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        home.world.happened = {"1": told(400, 0.8, 0.3), "2": told(400, 0.45, 0.55)}
        await home.traffic(id, 4000)
        done = await home.until(id, "rolled_back")
        assert "brier" in str(done.reason)
        assert [g.verdict for g in done.gates if g.gate == "brier"] == ["fail"]
        home.engine.close()

    run(way())


def test_a_dry_run_sees_all_traffic_and_gets_none(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2", dry_run=True).id
        await home.until(id, "canary")
        green = home.table().models["m"].green
        assert (green.weight, green.shadow) == (0, True)
        done = await home.traffic(id, 500)
        assert done.verdict is not None
        assert (done.state, done.verdict["winner"]) == ("concluded", "green")
        assert home.table().models["m"].green is None
        home.engine.close()

    run(way())


def test_traffic_by_hand(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        with pytest.raises(ApiError, match="no candidate"):
            home.engine.traffic("m", 50, 50)
        id = home.engine.start("m", "2").id
        with pytest.raises(ApiError, match="no candidate"):
            home.engine.traffic("m", 50, 50)
        await home.until(id, "canary")
        set_by = home.engine.traffic("m", 70, 30, "anna", "a closer look")
        assert (set_by.weight, set_by.paused) == (30, True)
        assert home.table().models["m"].green.weight == 30
        record = home.engine.state.audit(limit=1, newest_first=True)[0]
        assert (record.actor, record.weight) == ("anna", 30)
        assert "a closer look" in record.why
        assert (await home.traffic(id, 5000)).weight == 30
        home.restart()
        assert home.table().models["m"].green.weight == 0
        await home.ticks(5)
        assert home.table().models["m"].green.weight == 30
        assert home.engine.resume(id).weight == 5
        home.engine.close()

    run(way())


def test_a_failing_candidate_is_gone_at_once_and_the_trail_says_why(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        home.engine.pause(id, "anna", "lunch")
        done = await home.traffic(id, 4000, errors=150)
        assert done.state == "rolled_back"
        assert home.table().models["m"].green is None
        record = home.engine.state.audit(limit=1, newest_first=True)[0]
        assert record.detail["green"]["errors"] == 150
        assert any(g["gate"] == "errors" and g["verdict"] == "fail" for g in record.detail["gates"])
        home.engine.close()

    run(way())


def test_what_fails_before_the_canary_never_reaches_the_table(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        home.world.verdicts["2"] = "hash differs"
        home.world.suites["3"] = Suite(passed=1, total=40, failures=("golden row 0: 0.4, expected 0.6",))
        home.world.refused["4"] = "w0: no memory"
        for version, words in (("2", "hash differs"), ("3", "golden row 0"), ("4", "no memory")):
            done = await home.until(home.engine.start("m", version).id, "failed")
            assert words in str(done.reason)
            assert (home.table().models["m"].blue, home.table().models["m"].green) == ("1", None)
        home.engine.close()

    run(way())


def test_evidence_of_ended_steps_survives_a_restart(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        id = home.engine.start("m", "2").id
        await home.until(id, "canary")
        await home.traffic(id, 2000)
        home.restart()
        kept = home.engine.get(id)
        assert kept.state == "deploying"
        assert kept.samples[0].green.requests == 100
        assert [s.outcome for s in kept.steps] == ["passed", "interrupted"]
        await home.until(id, "canary")
        assert home.table().models["m"].green.weight == 50
        assert whole(home)
        home.engine.close()

    run(way())


def test_the_same_request_again_is_the_same_rollout(tmp_path):
    async def way():
        home = Home(tmp_path)
        await home.deploy("1")
        made = home.engine.start("m", "2", request_id="once")
        assert home.engine.start("m", "2", request_id="once").id == made.id
        with pytest.raises(ApiError, match="began the rollout of m 2"):
            home.engine.start("m", "3", request_id="once")
        with pytest.raises(ApiError, match="is being rolled out already"):
            home.engine.start("m", "2")
        await home.until(made.id, "canary")
        home.engine.promote(made.id)
        await home.until(made.id, "succeeded")
        assert home.engine.start("m", "2", request_id="once").state == "succeeded"
        with pytest.raises(ApiError, match="deployed already"):
            home.engine.start("m", "2")
        for bad, words in (({"steps": [50, 10]}, "policy.steps"), ({"speed": 1}, "policy.speed: 1: no such setting")):
            with pytest.raises(ApiError, match=words) as refused:
                home.engine.start("m", "3", bad)
            assert refused.value.status == 422
        home.engine.close()

    run(way())

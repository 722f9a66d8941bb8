"""The whole loop with nobody's hand: drifted traffic to the real service, its drift report, the retraining that the
sensor asks for, gates, champion, and the rollout that the service carries out under the same traffic, to its recorded
end. The same traffic undrifted starts nothing, nor does a broken feed, which is told; so is a candidate that misses a
gate.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from fx_assets.models import champion
from fx_assets.models.assets.release import ROLLED_OUT
from fx_serving.client.rollout_log import deployed
from tests.servers.faults import serve
from tests.servers.loop import (
    ENDED,
    FEATURES,
    RUNNING,
    WILDER,
    Loop,
    ask,
    asking,
    build_home,
    daemon,
    market,
    variables,
    write_settings,
)
from tests.servers.receivers import Hook
from tests.servers.serving import Service, launch

pytestmark = [pytest.mark.slow(300), pytest.mark.timeout(3600)]

#: By model the gates that a new version of it meets. Two drift alike, and for one of them no candidate is good enough.
MODELS = {"calm": "easy", "drifted": "easy", "refused": "impossible", "broken": "easy"}
#: What is on, and where the shipped cadence is hours or a minute, how soon.
ROWS: dict[str, dict[str, Any]] = {
    "drift": {"cron": "* * * * *"},
    "drift_close": {"cron": "* * * * *"},
    "retrain_on_drift": {},
    "roll_out_promoted": {},
    "follow_rollouts": {},
    "alert_watch": {"every_seconds": 20},
    "alert_delivery": {},
}


@dataclass
class World:
    """What the tests look at when the loop has closed. told: the titles of all messages that came."""

    loop: Loop
    service: Service
    told: list[str]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    home = tmp_path_factory.mktemp("loop") / "home"
    stores = build_home(home, list(MODELS))
    write_settings(home, MODELS, {name: {"enabled": True, **row} for name, row in ROWS.items()})
    hook = Hook()
    with serve(hook) as receiver:
        given = variables(home, FX_ALERT_URLS=f"json://127.0.0.1:{receiver.port}")
        service = launch(home, clock=given["FX_CLOCK"])
        try:
            for model in MODELS:
                service.deploy("1", model)
            for model in ("drifted", "refused"):
                for session in (ENDED, RUNNING):
                    ask(service.url, model, market(stores, model, session, wilder=WILDER))
            ask(service.url, "calm", market(stores, "calm", RUNNING))
            ask(service.url, "broken", market(stores, "broken", RUNNING, wilder=WILDER, stuck="rsi_14"))
            with daemon(home, given) as loop:
                follow(loop, service, hook)
                yield World(loop, service, [body["title"] for body in hook.bodies()])
        finally:
            service.stop()


def follow(loop: Loop, service: Service, hook: Hook) -> None:
    """Every link of the chain in its order, then two more reports, so that whatever else would be asked for is."""

    def finished(job: str) -> dg.DagsterRun | None:
        return next((run for run in loop.runs(job) if run.is_finished), None)

    def rollout() -> dict[str, Any] | None:
        return next((r for r in service.client.rollouts("drifted") if r["version"] == "2"), None)

    def told(key: str) -> bool:
        return any(key in body["title"] for body in hook.bodies())

    loop.link("a run of drift", lambda: finished("drift"), "drift")
    loop.link("a report that asks for retraining", lambda: status(loop, "drifted")["action"] == "retrain", "drift")
    with asking(service.url, "drifted", market(loop.stores, "drifted", RUNNING, wilder=WILDER)):
        loop.link("a training run of drifted", lambda: loop.runs("train_drifted"), "retrain_on_drift")
        loop.link("its end", lambda: finished("train_drifted"), "retrain_on_drift")
        loop.link("champion version 2", lambda: holder(loop, "drifted") == "2", "retrain_on_drift")
        loop.link("a run of roll_out_drifted", lambda: loop.runs("roll_out_drifted"), "roll_out_promoted")
        loop.link("a rollout in the service", rollout, "roll_out_promoted")
        loop.link("its end", lambda: (rollout() or {}).get("finished_at"), "roll_out_promoted")
    loop.link("version 2 as blue", lambda: deployed(loop.stores.state).get("drifted") == "2", "follow_rollouts")
    loop.link("the end on record", lambda: outcome(loop, "drifted") is True, "follow_rollouts")
    loop.link("the end of the refused model's training", lambda: finished("train_refused"), "retrain_on_drift")
    for title in ("broken: its feed looks broken", "drifted: its features drift", "refused missed its gates"):
        loop.link(f"the message {title}", lambda title=title: told(title), "alert_delivery")
    for _ in range(2):
        before = status(loop, "drifted")["computed_at"]
        loop.link("one more report", lambda before=before: status(loop, "drifted")["computed_at"] > before, "drift")
    for sensor in ("retrain_on_drift", "roll_out_promoted"):
        since = loop.ticks(sensor)[0].timestamp
        loop.link("two more ticks", lambda sensor=sensor, since=since: len(loop.ticks(sensor, since)) >= 2, sensor)


def status(loop: Loop, model: str) -> dict[str, Any]:
    return json.loads((loop.stores.drift / f"{model}.json").read_bytes())


def holder(loop: Loop, model: str) -> str | None:
    found = champion.load(loop.stores, model)
    return found.version if found else None


def checked(loop: Loop, asset: str, name: str) -> dg.AssetCheckEvaluation | None:
    """The newest evaluation of a check; runs that have only planned theirs are passed over."""
    key = dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name)
    history = loop.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    return next((r.evaluation for r in history if isinstance(r.evaluation, dg.AssetCheckEvaluation)), None)


def outcome(loop: Loop, model: str) -> bool | None:
    found = checked(loop, f"{model}/deployment", ROLLED_OUT)
    return found and found.passed


def test_nothing_was_started_but_what_drift_asked_for(world):
    jobs = {run.job_name for run in world.loop.runs()}
    assert jobs == {"drift", "train_drifted", "roll_out_drifted", "train_refused"}
    for job in ("train_drifted", "train_refused", "roll_out_drifted"):
        assert len(world.loop.runs(job)) == 1


def test_each_run_says_what_asked_for_it(world):
    loop = world.loop
    (trained,), (rolled,) = loop.runs("train_drifted"), loop.runs("roll_out_drifted")
    assert trained.tags["fx/drift_verdict"] == status(loop, "drifted")["decision"]["verdict"] == f"drifted-1-{RUNNING}"
    assert (trained.tags["dagster/sensor_name"], trained.tags["dagster/partition"]) == ("retrain_on_drift", RUNNING)
    assert (rolled.tags["dagster/sensor_name"], rolled.tags["dagster/partition"]) == ("roll_out_promoted", RUNNING)
    assert trained.is_success
    assert rolled.is_success


def test_the_traffic_went_over_step_by_step_and_its_end_is_on_record(world):
    (rollout,) = [r for r in world.service.client.rollouts("drifted") if r["version"] == "2"]
    rollout = world.service.client.rollout(rollout["id"])
    assert (rollout["state"], rollout["from_version"]) == ("succeeded", "1")
    assert [step["weight"] for step in rollout["steps"]] == [5, 25, 50, 100]
    assert all(step["requests"] > 0 for step in rollout["steps"])
    route = world.service.client.traffic()["models"]["drifted"]
    assert (route["blue"]["version"], route.get("green")) == ("2", None)
    found = checked(world.loop, "drifted/deployment", ROLLED_OUT)
    assert found is not None
    assert found.metadata["rollout_id"].value == rollout["id"]
    assert found.metadata["state"].value == "succeeded"


def test_drift_is_explained_by_what_was_moved_and_was_seen_in_two_sessions(world):
    found = status(world.loop, "drifted")
    assert (found["action"], found["level"], found["cause"]) == ("retrain", "critical", "market")
    assert found["decision"]["confirmed"] == 2
    assert {part["feature"] for part in found["explains"]} <= set(FEATURES["volatility"])
    assert {drift["level"] for drift in found["instruments"].values()} == {"critical"}
    assert os.path.getsize(found["html"]) > 10_000


def test_the_same_traffic_undrifted_is_a_line_in_the_log(world):
    found = status(world.loop, "calm")
    assert (found["action"], found["level"], found["cause"]) == ("log", "none", None)
    assert not any("calm" in title for title in world.told)


def test_a_broken_feed_blocks_in_words_although_the_index_is_critical(world):
    found = status(world.loop, "broken")
    assert (found["action"], found["level"], found["cause"]) == ("block", "critical", "feed")
    assert any(why.startswith("stale of GBP_USD: rsi_14") for why in found["decision"]["reasons"])
    feed = checked(world.loop, "drift_report", "feed")
    assert feed is not None
    assert not feed.passed
    assert "[CRITICAL] broken: its feed looks broken (critical)" in world.told


def test_a_candidate_that_misses_a_gate_is_told_and_not_rolled_out(world):
    (trained,) = world.loop.runs("train_refused")
    assert trained.is_success, "a rejection is no failure"
    gates = checked(world.loop, "refused/promotion_decision", "gates")
    assert gates is not None
    assert gates.metadata["missed"].value == ["oracle"]
    assert holder(world.loop, "refused") == "1"
    assert [r["version"] for r in world.service.client.rollouts("refused")] == ["1"]
    assert "[WARNING] a new version of refused missed its gates" in world.told

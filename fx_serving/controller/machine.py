"""The rollout state machine: pure transitions from (rollout, evidence, now) to the next rollout. No IO.

What a person orders is in orders.py; how steps begin and end in steps.py. A paused rollout goes no further and keeps
its traffic; a failing gate takes the traffic back all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from fx_serving.controller.facts import Suite
from fx_serving.controller.gates import Totals, Verdict, experiment, judge
from fx_serving.controller.rollout import CONTROLLER, Rollout, State, Step
from fx_serving.controller.steps import end_step, figures, finish, running_plan, start_step, to


@dataclass(frozen=True)
class Evidence:
    """What is known now. elapsed_s: since the current state began, or since workers confirmed the current step, on the
    monotonic clock; behind_s: since they last confirmed it.

    may_start: its turn in the queue has come; blue: the version deployed at this moment. verified: None while running,
    "" when good, else the reason for refusing; salt, instruments: what the check found out. applied: every live worker
    confirms the published table. refused: a worker's reason for not serving the version. bundle: the bundle's folder
    exists. suite: the smoke test's result, None while it runs. totals: None if not counted this time.
    """

    elapsed_s: float = 0.0
    behind_s: float = 0.0
    may_start: bool = True
    blue: str | None = None
    verified: str | None = None
    salt: str = ""
    instruments: tuple[str, ...] = ()
    applied: bool = False
    refused: str | None = None
    bundle: bool = True
    suite: Suite | None = None
    totals: Totals | None = None


def advance(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    """The next state; the same object if nothing happened."""
    if rollout.finished:
        return rollout
    if not evidence.bundle and rollout.state not in ("queued", "finalizing"):
        why = "the bundle is gone; export it again"
        return finish(rollout, now, given_up(rollout), why, totals=evidence.totals)
    return _TRANSITIONS[rollout.state](rollout, evidence, now)


def _queued(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    if rollout.paused or not evidence.may_start:
        return rollout
    blue = evidence.blue
    if blue == rollout.version:
        why = f"version {blue} was deployed while this rollout waited"
        return finish(rollout, now, "failed", why, from_version=blue)
    if blue is None and (rollout.dry_run or rollout.kind == "ab"):
        why = "no version of the model is deployed: there is nothing to compare with; deploy one first"
        return finish(rollout, now, "failed", why)
    why = "hashes, schema and golden rows are checked in a process of its own"
    return to(rollout, now, why, state="verifying", from_version=blue)


def _verifying(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    if evidence.verified is None:
        return rollout
    if evidence.verified:
        return finish(rollout, now, "failed", f"bundle refused: {evidence.verified}")
    found: dict[str, Any] = {"salt": evidence.salt, "known_instruments": evidence.instruments}
    if rollout.from_version is None:
        if rollout.paused:
            return rollout
        why = "first deployment: there is nothing to compare with, so it takes all traffic at once"
        step = Step(weight=100.0, started_at=now, ended_at=now, outcome="first deployment")
        return to(rollout, now, why, state="finalizing", weight=100.0, steps=(step,), checked=True, **found)
    return to(rollout, now, "bundle verified; workers load it", state="deploying", weight=0.0, **found)


def _deploying(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    if evidence.refused:
        return finish(rollout, now, given_up(rollout), f"a worker refused the bundle: {evidence.refused}")
    if evidence.applied:
        if rollout.live_since is not None:  # it was live before the controller was gone
            return start_step(rollout, now, rollout.step, "all workers hold it ready")
        # Also where it was tested before the controller was gone: what waits here for a person would end as late.
        then = "it was tested" if rollout.checked else "it is asked on every route"
        return to(rollout, now, f"all workers hold it ready; {then}", state="testing")
    limit = rollout.settings.apply_timeout_s
    if evidence.elapsed_s > limit:
        return finish(rollout, now, given_up(rollout), f"not all workers held it ready within {limit:g} s")
    return rollout


def _testing(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    if evidence.refused:
        return finish(rollout, now, given_up(rollout), f"a worker refused the bundle: {evidence.refused}")
    if rollout.checked:
        return _enter(rollout, now, 0, "tested")
    if evidence.suite is None:
        return rollout
    suite, wanted = evidence.suite, rollout.settings.suite_min_share
    said = f"smoke test: {suite.passed} of {suite.total} cases passed, at least {wanted:.0%} needed"
    if suite.total == 0 or suite.share < wanted:
        first = f"; first failure: {suite.failures[0]}" if suite.failures else ""
        return finish(rollout, now, "failed", f"{said}{first}", suite=suite)
    detail = {"passed": suite.passed, "total": suite.total, "failures": list(suite.failures)}
    tested = to(rollout, now, said, what="tested", suite=suite, checked=True, detail=detail)
    return _enter(tested, now, 0, said)


def _live(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    policy, totals = rollout.settings, evidence.totals
    if evidence.refused:
        why = f"a worker lost the candidate: {evidence.refused}"
        return finish(rollout, now, "rolled_back", why, totals=totals)
    if not evidence.applied and evidence.behind_s > policy.apply_timeout_s:
        why = f"workers have not followed the routing table for {evidence.behind_s:.0f} s"
        return finish(rollout, now, "rolled_back", why, totals=totals)
    if totals is None:  # until workers have confirmed the step, what they count is no evidence
        return rollout
    verdict = judge(policy, running_plan(rollout), totals, evidence.elapsed_s)
    if verdict.kind == "breach":
        return _back(rollout, totals, verdict, now)
    # Going back does not wait until workers have loaded another model's candidate; going on does.
    if rollout.paused or not evidence.applied:
        return rollout
    if rollout.kind == "ab":  # it has a time of its own, experiment_max_s
        return _experiment(rollout, totals, verdict, now)
    if verdict.kind == "expired":
        return _back(rollout, totals, verdict, now)
    if verdict.kind == "hold" and not rollout.holding:
        changes: dict[str, Any] = {"holding": True, "awaiting": rollout.awaiting or "evidence"}
        detail = figures(totals, verdict)
        return to(rollout, now, verdict.why, what="holding", gates=verdict.gates, detail=detail, **changes)
    if verdict.kind != "pass":
        return rollout
    if rollout.dry_run:
        return _conclude(
            rollout, totals, verdict, now, f"dry run: {verdict.why}; a rollout would have gone on", "green"
        )
    if rollout.step < rollout.last_step:
        return _enter(rollout, now, rollout.step + 1, verdict.why, totals, verdict)
    return go_final(rollout, now, verdict.why, totals, verdict)


def go_final(
    rollout: Rollout,
    now: datetime,
    why: str,
    totals: Totals | None = None,
    verdict: Verdict | None = None,
    *,
    outcome: str = "passed",
    actor: str = CONTROLLER,
) -> Rollout:
    """The candidate becomes blue."""
    done = end_step(rollout, now, outcome, totals, verdict)
    return to(
        done,
        now,
        f"{why}; version {rollout.version} becomes blue",
        actor=actor,
        detail=figures(totals, verdict),
        state="finalizing",
        weight=100.0,
        awaiting=None,
        paused=False,
        shadow=False,
        instruments=None,
    )


def _back(rollout: Rollout, totals: Totals, verdict: Verdict, now: datetime) -> Rollout:
    """All traffic back to blue; a dry run has none and only says so."""
    if rollout.dry_run:
        why = f"dry run: {verdict.why}; a rollout would have been rolled back"
        return _conclude(rollout, totals, verdict, now, why, "blue")
    return finish(rollout, now, "rolled_back", verdict.why, totals=totals, verdict=verdict)


def _conclude(
    rollout: Rollout, totals: Totals, verdict: Verdict, now: datetime, why: str, winner: str, **more: Any
) -> Rollout:
    said = {"winner": winner, "why": why, "figures": {**figures(totals, verdict), **more}}
    done = finish(rollout, now, "concluded", why, totals=totals, verdict=verdict)
    return msgspec.structs.replace(done, verdict=said)


def _experiment(rollout: Rollout, totals: Totals, verdict: Verdict, now: datetime) -> Rollout:
    began = rollout.live_since or now
    said = experiment(rollout.settings, totals.pairs, (now - began).total_seconds())
    if said.kind == "undecided":
        return rollout
    winner = "none" if said.kind == "ended" else said.kind
    found = {"metric": said.metric, "value": said.value, "low": said.low, "high": said.high, "n": said.n}
    return _conclude(rollout, totals, verdict, now, said.why, winner, **found)


def _finalizing(rollout: Rollout, evidence: Evidence, now: datetime) -> Rollout:
    end: State = "failed" if rollout.from_version is None else "rolled_back"
    if evidence.refused:
        return finish(rollout, now, end, f"a worker refused it as blue: {evidence.refused}")
    if evidence.applied:
        return to(rollout, now, f"version {rollout.version} answers everywhere", state="succeeded", weight=100.0)
    limit = rollout.settings.apply_timeout_s
    if evidence.elapsed_s > limit:
        return finish(rollout, now, end, f"not all workers took it as blue within {limit:g} s")
    return rollout


_TRANSITIONS = {
    "queued": _queued,
    "verifying": _verifying,
    "deploying": _deploying,
    "testing": _testing,
    "canary": _live,
    "baking": _live,
    "finalizing": _finalizing,
}


def recover(rollout: Rollout, now: datetime) -> Rollout:
    """How an unfinished rollout goes on after the controller was gone.

    Checks and loading are repeated; a canary step is begun anew, since what happened meanwhile was not watched.
    """
    why = "the controller was restarted"
    if rollout.state == "verifying":
        return to(rollout, now, f"{why}; verified again")
    if rollout.state == "testing":
        return to(rollout, now, f"{why}; workers must confirm again", state="deploying")
    if rollout.live:
        done = end_step(rollout, now, "interrupted", None)
        why = f"{why}; step {rollout.step + 1} begins anew once workers confirm"
        return to(done, now, why, state="deploying", weight=0.0, holding=False, awaiting=None)
    return rollout


def given_up(rollout: Rollout) -> State:
    """How an end before finalizing is called: rolled back if it ever had traffic, else failed."""
    return "rolled_back" if rollout.steps else "failed"


def _enter(
    rollout: Rollout,
    now: datetime,
    index: int,
    why: str,
    totals: Totals | None = None,
    verdict: Verdict | None = None,
) -> Rollout:
    """Begin step `index`, unless it is paused or needs an approval that is not there yet."""
    if rollout.paused:
        return rollout
    plan = rollout.plan_of(index)
    if plan.approval and rollout.approved < index:
        if rollout.awaiting == "approval":
            return rollout
        said = f"{why}; {plan.weight:g} % needs an approval: fx rollout approve {rollout.id}"
        gates, detail = verdict.gates if verdict else rollout.gates, figures(totals, verdict)
        return to(rollout, now, said, what="awaiting approval", awaiting="approval", gates=gates, detail=detail)
    done = end_step(rollout, now, "passed", totals, verdict)
    return start_step(done, now, index, why, detail=figures(totals, verdict))

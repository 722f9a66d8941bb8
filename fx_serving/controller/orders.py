"""What a person (or a newer candidate) orders: pure transitions. Each says ValueError, in words, where it cannot be.

Ordering what already is so changes nothing and returns the same object.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from fx_serving.controller.gates import Totals
from fx_serving.controller.machine import go_final
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.steps import end_step, finish, start_step, to


def pause(rollout: Rollout, now: datetime, actor: str, why: str, totals: Totals | None = None) -> Rollout:
    """Go no further; the traffic stays as it is. A failing gate still takes it back."""
    if rollout.paused:
        return rollout
    _unfinished(rollout)
    if rollout.state == "finalizing":
        raise ValueError(f"rollout {rollout.id} is finalizing: version {rollout.version} answers everywhere already")
    return to(rollout, now, why, actor=actor, what="paused", paused=True)


def resume(rollout: Rollout, now: datetime, actor: str, why: str, totals: Totals | None = None) -> Rollout:
    """Go on: the step begins anew, with its own weight."""
    _unfinished(rollout)
    if not rollout.paused:
        return rollout
    if not rollout.live:
        return to(rollout, now, why, actor=actor, what="resumed", paused=False, manual=None)
    done = end_step(rollout, now, "paused", totals)
    resumed = to(done, now, why, actor=actor, what="resumed", paused=False, manual=None)
    return start_step(resumed, now, rollout.step, "resumed; the step begins anew", actor=actor)


def approve(rollout: Rollout, now: datetime, actor: str, why: str, totals: Totals | None = None) -> Rollout:
    """Let the step that waits for it begin."""
    _unfinished(rollout)
    wanted = rollout.step + 1 if rollout.live else rollout.step
    if rollout.awaiting != "approval":
        if rollout.approved >= rollout.step and rollout.approved >= 0:
            return rollout
        raise ValueError(f"rollout {rollout.id} is {rollout.state} and waits for no approval")
    weight = rollout.plan_of(wanted).weight
    what = f"approved {weight:g} %"
    return to(rollout, now, why, actor=actor, what=what, approved=wanted, awaiting=None)


def promote(rollout: Rollout, now: datetime, actor: str, why: str, totals: Totals | None = None) -> Rollout:
    """Skip what is left of the steps: the candidate becomes blue now."""
    if rollout.state in ("finalizing", "succeeded"):
        return rollout
    _unfinished(rollout)
    if rollout.dry_run:
        raise ValueError(f"rollout {rollout.id} is a dry run and deploys nothing; start one without dry_run")
    if not rollout.live:
        raise ValueError(
            f"rollout {rollout.id} is {rollout.state}: version {rollout.version} is not yet verified and tested. "
            "Promote it once it has canary traffic."
        )
    return go_final(rollout, now, f"promoted: {why}", totals, outcome="promoted", actor=actor)


def set_weight(
    rollout: Rollout, now: datetime, actor: str, why: str, green: float, totals: Totals | None = None
) -> Rollout:
    """An operator's share for the candidate, of all instruments; the automation pauses."""
    _unfinished(rollout)
    if rollout.dry_run:
        raise ValueError(f"rollout {rollout.id} is a dry run: it gets no traffic; start one without dry_run")
    if not rollout.live:
        raise ValueError(
            f"rollout {rollout.id} is {rollout.state}: version {rollout.version} is not yet verified and tested, "
            "and may have no traffic. Wait for its first step."
        )
    if rollout.paused and rollout.manual == green:
        return rollout
    done = end_step(rollout, now, "paused", totals)
    said = f"traffic by hand: {green:g} % to version {rollout.version}: {why}"
    return start_step(done, now, rollout.step, said, actor=actor, paused=True, manual=green)


def abort(rollout: Rollout, now: datetime, actor: str, why: str, totals: Totals | None = None) -> Rollout:
    """Stopped by a person. Not once it is finalizing."""
    if rollout.state == "aborted":
        return rollout
    _unfinished(rollout)
    if rollout.state == "finalizing":
        raise ValueError(
            f"rollout {rollout.id} is finalizing: version {rollout.version} already answers everywhere. "
            f"To go back: fx rollout rollback {rollout.id}."
        )
    return finish(rollout, now, "aborted", why, actor=actor, totals=totals)


def roll_back(rollout: Rollout, now: datetime, actor: str, why: str, totals: Totals | None = None) -> Rollout:
    """All traffic to the version before, whatever the rollout has reached. The caller restores a succeeded one's."""
    if rollout.state == "rolled_back":
        return rollout
    if rollout.state not in ("succeeded", "finalizing"):
        _unfinished(rollout)
    if rollout.state in ("succeeded", "finalizing") and rollout.from_version is None:
        raise ValueError(
            f"rollout {rollout.id} was the first of model {rollout.model}: there is no version to go back to"
        )
    return finish(rollout, now, "rolled_back", why, actor=actor, totals=totals)


def supersede(rollout: Rollout, now: datetime, newer: str, version: str, totals: Totals | None = None) -> Rollout:
    """Ended by a newer candidate of the model."""
    why = f"rollout {newer} of version {version} is newer"
    done = finish(rollout, now, "superseded", why, totals=totals)
    return msgspec.structs.replace(done, superseded_by=newer)


def _unfinished(rollout: Rollout) -> None:
    if rollout.finished:
        raise ValueError(f"rollout {rollout.id} is {rollout.state} already")

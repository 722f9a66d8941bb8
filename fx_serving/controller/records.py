"""Rollouts as rows, events as audit records, and what a transition does to the deployed version: pure functions."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from fx_serving.controller.rollout import CONTROLLER, Rollout
from fx_serving.policy import YEAR_S
from fx_serving.state import AuditEntry, Deployed, RolloutRow


def decode(row: RolloutRow) -> Rollout:
    """A rollout as the database keeps it."""
    return msgspec.json.decode(row.body, type=Rollout)


def encode(rollout: Rollout) -> RolloutRow:
    """A rollout for the database."""
    return RolloutRow(
        id=rollout.id,
        model=rollout.model,
        version=rollout.version,
        state=rollout.state,
        request_id=rollout.request_id,
        created_at=rollout.created_at,
        finished_at=rollout.finished_at,
        body=msgspec.json.encode(rollout).decode(),
    )


def audit_of(before: Rollout | None, after: Rollout) -> list[AuditEntry]:
    """One record for each new event."""
    events = after.events[len(before.events) if before else 0 :]
    return [
        AuditEntry(
            at=e.at, actor=e.actor, model=after.model, rollout_id=after.id, what=e.what, why=e.why, state=after.state,
            weight=after.weight, detail=e.detail,
        )
        for e in events
    ]  # fmt: skip


def entry_of(at: datetime, model: str, rollout_id: str, what: str, why: str, **detail: Any) -> AuditEntry:
    """A record of something the controller did that is no rollout's event."""
    return AuditEntry(
        at=at,
        actor=CONTROLLER,
        model=model,
        rollout_id=rollout_id,
        what=what,
        why=why,
        state="",
        weight=0.0,
        detail=detail,
    )


def deploys_of(before: Rollout | None, after: Rollout, now: datetime, keep_hot_s: float) -> dict[str, Deployed | None]:
    """What a transition does to the model's blue: version and standby; None where it has none any more."""
    was, keep_hot_s = before.state if before else None, min(keep_hot_s, YEAR_S)
    if after.state == "finalizing" and was != "finalizing":
        keep = after.from_version is not None and keep_hot_s > 0
        return {
            after.model: Deployed(
                version=after.version,
                rollout_id=after.id,
                at=now,
                previous=after.from_version if keep else None,
                previous_until=now + timedelta(seconds=keep_hot_s) if keep else None,
            )
        }
    if was in ("finalizing", "succeeded") and after.state in ("failed", "rolled_back"):
        if after.from_version is None:
            return {after.model: None}
        return {after.model: Deployed(version=after.from_version, rollout_id=after.id, at=now)}
    return {}

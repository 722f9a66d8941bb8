"""What GET /health, /ready and /traffic say. Each component is ok or degraded, with the reason."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.client import clock
from fx_serving.client.home import Stores
from fx_serving.dataplane.features import RETRAIN, Limits, age_limit, other_code
from fx_serving.dataplane.log import PredictionLogWriter
from fx_serving.dataplane.slots import SlotManager
from fx_serving.dataplane.snapshots import FeatureSnapshots, ViewRows
from fx_serving.dataplane.stream import PredictionStream
from fx_serving.evidence import Key, SlotEvidence, read_evidence


class Ingestion(msgspec.Struct):
    """What the ingester says of itself."""

    behind_bytes: int = 0
    problem: str | None = None


def read_ingestion(path: Path) -> Ingestion | None:
    """serving/ingest.json; None where nothing is ingested here, or not yet."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ingestion)
    except (OSError, ValueError):
        return None


def _component(problems: list[str], **more: Any) -> dict[str, Any]:
    state: dict[str, Any] = {"status": "degraded" if problems else "ok"}
    if problems:
        state["reason"] = "; ".join(problems)
    return {**state, **more}


class HealthDesk:
    """Reads the state of this worker's parts. `leaving`: whether the worker has begun to end."""

    def __init__(
        self,
        stores: Stores,
        slots: SlotManager,
        snapshots: FeatureSnapshots,
        log: PredictionLogWriter,
        stream: PredictionStream,
        limits: Limits,
    ) -> None:
        self.stores, self.slots, self.snapshots, self.log = stores, slots, snapshots, log
        self.stream, self.limits = stream, limits
        self.leaving = False

    def health(self, worker: str) -> dict[str, Any]:
        """All components; "ok" only if every one is."""
        components = {
            "model": self._models(),
            "feature_store": self._features(),
            "registry": self._registry(),
            "log": self._log(),
            "controller": _component(
                []
                if self.slots.live()
                else ["not seen to renew its lease; predictions go on, all on blue; rollouts wait"]
            ),
        }
        degraded = any(c["status"] != "ok" for c in components.values())
        return {
            "status": "degraded" if degraded else "ok",
            "worker": worker,
            "time": clock.to_iso(clock.now()),
            "components": components,
        }

    def ready(self) -> str | None:
        """Why predictions cannot be answered; None if they can."""
        if self.leaving:
            return "this worker is ending; others answer"
        current = self.slots.current
        if current.generation < 0:
            return "the routing table is not read yet"
        if not any(slots.blue for slots in current.models.values()):
            return "no model is deployed. Roll one out: fx rollout start MODEL VERSION."
        return None

    async def traffic(self) -> dict[str, Any]:
        """Per model: versions, shares, and counts over all workers since the service started."""
        counts = await asyncio.to_thread(read_evidence, self.stores.evidence)
        live = self.slots.live()
        current = self.slots.current
        models: dict[str, Any] = {}
        for model, slots in current.models.items():
            green = slots.green
            weight = green.route.weight if green and live else 0.0
            models[model] = {
                "blue": slots.blue and _slot(counts, model, slots.blue.version, "blue", 100.0 - weight),
                "green": green
                and {
                    **_slot(counts, model, green.route.version, "green", weight),
                    "assigned_weight": green.route.weight,
                    "rollout_id": green.route.rollout_id,
                    "instruments": green.route.instruments,
                    "shadow": green.route.shadow,
                },
                "standby": slots.standby and {"version": slots.standby.version},
            }
        return {"generation": current.generation, "lease": "held" if live else "lost", "models": models}

    def _log(self) -> dict[str, Any]:
        problems = [self.log.problem] if self.log.problem else []
        more: dict[str, Any] = {"waiting": self.log.waiting, "dropped": self.log.dropped}
        state = read_ingestion(self.stores.serving / "ingest.json")
        if state is None:
            return _component(problems, **more)
        if state.problem:
            problems.append(f"ingestion is delayed: {state.problem}")
        return _component(problems, **more, behind_bytes=state.behind_bytes)

    def _models(self) -> dict[str, Any]:
        current = self.slots.current
        problems = list(current.errors.values())
        if self.slots.problem:
            problems.append(self.slots.problem)
        reason = self.ready()
        if reason:
            problems.append(reason)
        deployed = {
            model: {
                "blue": slots.blue and slots.blue.version,
                "green": slots.green and slots.green.route.version,
            }
            for model, slots in current.models.items()
        }
        return _component(problems, deployed=deployed)

    def _features(self) -> dict[str, Any]:
        now = clock.now()
        problems: list[str] = []
        other_codes: list[str] = []
        ages: dict[str, float] = {}
        held, doubts = self.snapshots.held, self.snapshots.doubts
        for slots in self.slots.current.models.values():
            if slots.blue is None:
                continue
            for view in slots.blue.views:
                limit = age_limit(slots.blue, view, self.limits)
                for instrument in sorted(slots.blue.instruments):
                    rows, name = held.get((view, instrument)), f"{view}/{instrument}"
                    age = newest_age(rows, now)
                    if age is not None:
                        ages[name] = age
                    if rows is None:
                        problems.append(f"{name}: none published; {RETRAIN}")
                    elif isinstance(rows, str):
                        problems.append(f"{name}: corrupt: {rows}")
                    elif other := other_code(slots.blue, rows):
                        other_codes.append(other)
                    elif age is None:
                        problems.append(f"{name}: no row yet")
                    elif age > limit:
                        problems.append(f"{name}: {age:.0f} s old, limit {limit:.0f} s")
                    if (view, instrument) in doubts:
                        problems.append(f"{name}: {doubts[view, instrument]}")
        problems = [*sorted(set(other_codes)), *sorted(set(problems))]
        more: dict[str, Any] = {"store": self.snapshots.store.kind, "age_s": ages}
        if self.snapshots.problem is not None and self.snapshots.since is not None:
            problems.insert(0, f"{self.snapshots.problem}; what was read last is served up to its age limit")
            more["since"] = clock.to_iso(self.snapshots.since)
        return _component(problems, **more)

    def _registry(self) -> dict[str, Any]:
        problems: list[str] = []
        bundles = self.stores.bundles
        if not bundles.is_dir():
            problems.append(f"{bundles}: no such folder; no bundle has been exported yet")
        for slots in self.slots.current.models.values():
            if slots.blue and not slots.blue.folder.is_dir():
                problems.append(f"{slots.blue.folder}: gone; it is served from memory and a restart would fail")
        return _component(problems, bundles=str(bundles))


def newest_age(rows: ViewRows | str | None, now: Any) -> float | None:
    """Seconds since the newest row known at `now`; None if there is none."""
    if not isinstance(rows, ViewRows):
        return None
    known = [time for time in rows.times[-1:] if time <= now] or [time for time in rows.times if time <= now]
    return (now - known[-1]).total_seconds() if known else None


def _slot(counts: dict[Key, SlotEvidence], model: str, version: str, slot: str, weight: float) -> dict[str, Any]:
    found = counts.get((model, version, slot)) or SlotEvidence()
    return {
        "version": version,
        "weight": weight,
        "requests": found.requests,
        "errors": found.errors,
        "p99_ms": found.quantile_ms(0.99),
    }

"""The loop that brings evidence, state machine, database and routing table together."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from fx_serving.client.bundle import bundle_dir
from fx_serving.client.home import Stores
from fx_serving.config import RolloutPolicy, ServingConfig, first_problem
from fx_serving.controller import rollout as machine
from fx_serving.controller.evidence import StepWatch, confirmation
from fx_serving.controller.publish import Publisher, routes
from fx_serving.controller.rollout import Evidence, Rollout
from fx_serving.controller.store import Store
from fx_serving.controller.verify import verify
from fx_serving.dataplane.errors import ApiError

log = logging.getLogger("fx_serving.controller")

TICK_S = 0.05
JUDGE_S = 0.25  # reading all workers' counts costs milliseconds, and evidence needs time to differ


class _Watch:
    """What is kept in memory about an active rollout: when its state began, its checks, its counts."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.check: asyncio.Task[str] | None = None
        self.step: StepWatch | None = None
        self.judged = self.since


class Engine:
    """Owns the rollouts of one home. All methods run on one event loop."""

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.stores, self.config = stores, config
        self.store = Store(stores.state_db)
        self.publisher = Publisher(stores.routing)
        self._watches: dict[str, _Watch] = {}
        self._active: dict[str, Rollout] = {}

    def recover(self) -> None:
        """Take up unfinished rollouts, and put the table of the database in force."""
        for rollout in self.store.active():
            self._active[rollout.id] = rollout
            self._watches[rollout.id] = _Watch()
            self._commit(rollout, machine.recover(rollout, _now()), publish=False)
        self.store.bump()
        self._publish(anew=True)

    async def run(self) -> None:
        """Advance rollouts for ever."""
        while True:
            for rollout in list(self._active.values()):
                try:
                    await self._tick(rollout)
                except Exception:
                    log.exception("rollout %s: this tick failed; the next tries again", rollout.id)
            await asyncio.sleep(TICK_S)

    async def renew(self) -> None:
        """Renew the lease for ever, apart from `run`, so that slow evidence does not look like death."""
        while True:
            try:
                self.publisher.renew()
            except OSError as error:
                log.error("cannot renew the lease: %s", error)
            await asyncio.sleep(self.config.lease.renew_s)

    def start(self, model: str, version: str, overrides: dict[str, Any] | None, request_id: str | None) -> Rollout:
        """Begin a rollout.

        Raises ApiError 404 (no bundle), 409 (active, or deployed already), 422 (policy).
        """
        if request_id is not None and (known := self.store.by_request(request_id)):
            if (known.model, known.version) != (model, version):
                raise ApiError(409, f"request_id: {request_id} began the rollout of {known.model} {known.version}")
            return known
        policy = self._policy(overrides or {})
        for other in self._active.values():
            if other.model == model:
                raise ApiError(
                    409,
                    f"model {model} has an active rollout: {other.id} of version {other.version} "
                    f"({other.state}). "
                    f"Wait for it, or stop it: fx rollout abort {other.id}.",
                )
        deployed = self.store.deployed().get(model)
        if deployed == version:
            raise ApiError(409, f"version: {version} of model {model} is deployed already.")
        folder = bundle_dir(self.stores.bundles, model, version)
        if not folder.is_dir():
            bundles = self.stores.bundles / model
            known_versions = sorted(p.name for p in bundles.iterdir() if p.is_dir()) if bundles.is_dir() else []
            raise ApiError(
                404,
                f"version: no bundle {folder}. Exported versions of {model}: {', '.join(known_versions) or 'none'}.",
            )
        made = machine.begin(uuid.uuid4().hex[:12], model, version, deployed, policy, _now(), request_id)
        self.store.save(made, made.events)
        self._active[made.id] = made
        self._watches[made.id] = _Watch()
        self._publish()
        return made

    async def abort(self, id: str, why: str) -> Rollout:
        """Stop a rollout. Raises ApiError 404, 409. Aborting an aborted rollout changes nothing."""
        found = self.get(id)
        if found.state == "aborted":
            return found
        try:
            after = machine.abort(found, self._evidence(found), _now(), why)
        except ValueError as error:
            raise ApiError(409, str(error)) from None
        self._commit(found, after)
        return after

    def get(self, id: str) -> Rollout:
        """One rollout, with the counts of its running step. Raises ApiError 404."""
        found = self._active.get(id) or self.store.get(id)
        if found is None:
            raise ApiError(404, f"rollout {id!r}: no such rollout. GET /rollouts lists them.")
        return found

    def view(self, rollout: Rollout) -> dict[str, Any]:
        """The public form; the running step shows its evidence so far."""
        view = rollout.view()
        watch = self._watches.get(rollout.id)
        if rollout.state == "canary" and watch and watch.step and rollout.steps:
            step = machine.with_window(rollout.steps[-1], watch.step.window())
            view["steps"][-1] |= {
                "requests": step.requests,
                "errors": step.errors,
                "error_rate": step.error_rate,
                "p99_ms": step.p99_ms,
            }
        return view

    async def _tick(self, rollout: Rollout) -> None:
        watch = self._watches[rollout.id]
        if rollout.state == "verifying" and watch.check is None:
            watch.check = asyncio.create_task(
                verify(self.stores.bundles, rollout.model, rollout.version, self.config.sidecar.memory_mb)
            )
        if rollout.state == "canary" and watch.step is None:
            watch.step = StepWatch(self.stores.metrics, rollout.model, rollout.version)
        if rollout.state == "canary":
            if time.monotonic() - watch.judged < JUDGE_S:
                return
            watch.judged = time.monotonic()
        evidence = await asyncio.to_thread(self._evidence, rollout)
        if self._active.get(rollout.id) is rollout:  # not aborted while the evidence was gathered
            self._commit(rollout, machine.advance(rollout, evidence, _now()))

    def _evidence(self, rollout: Rollout) -> Evidence:
        watch = self._watches[rollout.id]
        applied, refused = confirmation(self.stores, self.publisher.generation, rollout.model, rollout.version)
        checked: str | None = None
        if watch.check is not None and watch.check.done():
            problem = watch.check.exception()
            checked = f"verification could not run: {problem}" if problem else watch.check.result()
        step = watch.step.window() if watch.step and rollout.state == "canary" else None
        return Evidence(
            elapsed_s=time.monotonic() - watch.since,
            verified=checked,
            applied=applied,
            refused=refused,
            bundle=bundle_dir(self.stores.bundles, rollout.model, rollout.version).is_dir(),
            **({"window": step} if step else {}),
        )

    def _commit(self, before: Rollout, after: Rollout, publish: bool = True) -> None:
        """Make a transition durable, then visible."""
        if after is before:
            return
        events = after.events[len(before.events) :]
        deploy: str | None = None
        undeploy = False
        if after.state == "finalizing" and before.state != "finalizing":
            deploy = after.version
        elif before.state == "finalizing" and after.state in ("failed", "rolled_back"):
            deploy, undeploy = after.from_version, after.from_version is None
        self.store.save(after, events, deploy, undeploy)
        for event in events:
            log.info("rollout %s of %s %s: %s: %s", after.id, after.model, after.version, event.what, event.why)
        if after.finished:
            self._active.pop(after.id, None)
            watch = self._watches.pop(after.id, None)
            if watch and watch.check:
                watch.check.cancel()
        else:
            self._active[after.id] = after
            if (before.state, before.step, before.weight) != (after.state, after.step, after.weight):
                self._watches[after.id] = _Watch()
        if publish:
            self._publish()

    def _publish(self, anew: bool = False) -> None:
        """Put the committed state in force; a commit that changes no route asks the workers for nothing."""
        models = routes(self.store.deployed(), self._active.values())
        if anew or models != self.publisher.models:
            self.publisher.publish(self.store.generation(), models)

    def _policy(self, overrides: dict[str, Any]) -> RolloutPolicy:
        try:
            return RolloutPolicy.model_validate(self.config.rollout.model_dump() | overrides)
        except ValidationError as error:
            key, value, problem = first_problem(error)
            raise ApiError(422, f"policy.{key}: {value!r}: {problem}") from None

    def close(self) -> None:
        """Close the database."""
        self.store.close()


def _now() -> datetime:
    return datetime.now(UTC)

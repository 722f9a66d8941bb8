"""The engine with its levers: rollouts begun, paused, approved, promoted, stopped, taken back; and what is shown of
them.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from pydantic import ValidationError

from fx_serving.client.bundle import bundle_dir
from fx_serving.config import first_problem
from fx_serving.controller import orders
from fx_serving.controller.core import Core
from fx_serving.controller.gates import judge
from fx_serving.controller.records import decode
from fx_serving.controller.rollout import Rollout, begin
from fx_serving.controller.steps import running_plan, with_totals
from fx_serving.dataplane.errors import ApiError
from fx_serving.policy import RolloutPolicy
from fx_serving.state import Conflict, Deployed, NotLeader, StateError

Kind = Literal["canary", "ab"]
LOCAL = "local"


class Engine(Core):
    """Owns the rollouts of one database while it leads. Orders raise ApiError 404, 409, 422, 503."""

    def start(
        self,
        model: str,
        version: str,
        policy: dict[str, Any] | None = None,
        request_id: str | None = None,
        *,
        kind: Kind = "canary",
        dry_run: bool = False,
        reason: str | None = None,
        actor: str = LOCAL,
    ) -> Rollout:
        """Queue a rollout. It ends what it supersedes: older ones of the model that wait, and, where the policy says
        so, a running canary that is not yet baking.
        """
        if request_id is not None and (row := self._read(lambda: self.state.by_request(request_id))):
            if (row.model, row.version) != (model, version):
                raise ApiError(409, f"request_id: {request_id} began the rollout of {row.model} {row.version}")
            return self.active.get(row.id) or decode(row)
        self.lead_or_refuse()
        settings = self._settings(model, policy or {})
        deployed = self.deployed.get(model)
        if deployed and deployed.version == version:
            raise ApiError(409, f"version: {version} of model {model} is deployed already.")
        same = [
            r
            for r in self.active.values()
            if (r.model, r.version, r.kind, r.dry_run) == (model, version, kind, dry_run)
        ]
        if same:
            raise ApiError(
                409, f"version: {version} of model {model} is being rolled out already: {same[0].id} ({same[0].state})."
            )
        self._bundle_or_404(model, version)
        now = self.clock.now()
        made = begin(
            uuid.uuid4().hex[:12],
            model,
            version,
            deployed.version if deployed else None,
            settings,
            now,
            request_id,
            kind=kind,
            dry_run=dry_run,
            actor=actor,
            reason=reason,
        )
        changes: list[tuple[Rollout | None, Rollout]] = [
            (old, orders.supersede(old, now, made.id, version, self._totals(old)))
            for old in self.active.values()
            if old.model == model and _superseded_by(old, made)
        ]
        self._order([*changes, (None, made)])
        return made

    def pause(self, id: str, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """Go no further; the traffic stays."""
        return self._by_hand(id, orders.pause, actor, reason or "paused by hand")

    def resume(self, id: str, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """Go on; the running step begins anew."""
        return self._by_hand(id, orders.resume, actor, reason or "resumed by hand")

    def approve(self, id: str, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """Let the step that waits for it begin."""
        return self._by_hand(id, orders.approve, actor, reason or "approved by hand")

    def promote(self, id: str, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """Skip what is left: the candidate becomes blue."""
        return self._by_hand(id, orders.promote, actor, reason or "by hand")

    def abort(self, id: str, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """Stop it; all traffic to blue."""
        return self._by_hand(id, orders.abort, actor, reason or "aborted by request")

    def rollback(self, id: str, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """All traffic to the version before; of a finished rollout by taking up the standby."""
        found, why = self.get(id), reason or "rolled back by hand"
        if found.state == "succeeded":
            self._standby(found.model, found)
            return self._restore(found, actor, why)
        return self._by_hand(id, orders.roll_back, actor, why)

    def restore(self, model: str, actor: str = LOCAL, reason: str | None = None) -> dict[str, str]:
        """The version that was blue before answers again, at once: workers hold it ready."""
        self.lead_or_refuse()
        blue = self._standby(model)
        replaced, version, id = blue.version, str(blue.previous), blue.rollout_id
        why = reason or "restored by hand"
        row = self._read(lambda: self.state.rollout(id))
        if row is None or decode(row).state != "succeeded":
            raise ApiError(409, f"model {model}: rollout {id} that deployed version {replaced} is not finished yet.")
        self._restore(decode(row), actor, why)
        return {"model": model, "version": version, "replaced": replaced, "rollout_id": id}

    def traffic(self, model: str, blue: float, green: float, actor: str = LOCAL, reason: str | None = None) -> Rollout:
        """An operator's split; the automation of the running rollout pauses."""
        self.lead_or_refuse()
        running = [r for r in self.active.values() if r.model == model and r.state != "queued"]
        known = {*self.deployed, *(r.model for r in self.active.values())}
        if model not in known:
            raise ApiError(404, f"model: {model!r} is not deployed. Known: {', '.join(sorted(known)) or 'none'}.")
        if not running:
            raise ApiError(
                409, f"model {model} has no candidate: start a rollout first (fx rollout start {model} VERSION)."
            )

        def order(rollout: Rollout, now: Any, who: str, why: str, totals: Any = None) -> Rollout:
            return orders.set_weight(rollout, now, who, why, green, totals)

        return self._by_hand(running[0].id, order, actor, reason or "set by hand")

    def get(self, id: str) -> Rollout:
        """One rollout. Raises ApiError 404."""
        found = self.active.get(id)
        if found is None and (row := self._read(lambda: self.state.rollout(id))):
            found = decode(row)
        if found is None:
            raise ApiError(404, f"rollout {id!r}: no such rollout. GET /rollouts lists them.")
        return found

    def all(
        self, model: str | None = None, state: str | None = None, limit: int = 100, and_running: bool = False
    ) -> list[Rollout]:
        """Rollouts, newest first. and_running: those that have not ended besides, however old."""
        rows = self._read(lambda: self.state.rollouts(model=model, limit=500 if state else limit))
        wanted = [row for row in rows if state in (None, row.state)][:limit]
        if and_running:
            listed = {row.id for row in wanted}
            unfinished = self._read(lambda: self.state.rollouts(active=True, model=model))
            wanted += [row for row in reversed(unfinished) if row.id not in listed]
        return [self.active.get(row.id) or decode(row) for row in wanted]

    def view(self, rollout: Rollout) -> dict[str, Any]:
        """The public form; the running step shows its evidence and its gates so far."""
        view = rollout.view()
        watch, totals = self.watches.get(rollout.id), self._totals(rollout)
        if watch is None or totals is None:
            return view
        step = with_totals(rollout.steps[-1], totals, shadow=rollout.dry_run)
        elapsed = watch.elapsed(self.clock.monotonic())
        verdict = judge(rollout.settings, running_plan(rollout), totals, elapsed)
        gates = [msgspec.to_builtins(gate) for gate in verdict.gates]
        live = msgspec.to_builtins(msgspec.structs.replace(step, gates=verdict.gates))
        view["steps"][-1] = live | {"gates": gates}
        view["gates"] = gates
        return view

    def _totals(self, rollout: Rollout) -> Any:
        watch = self.watches.get(rollout.id)
        return watch.totals if watch and rollout.live else None

    def _by_hand(self, id: str, order: Callable[..., Rollout], actor: str, why: str) -> Rollout:
        found = self.get(id)
        try:
            after = order(found, self.clock.now(), actor, why, self._totals(found))
        except ValueError as error:
            raise ApiError(409, f"{error}.".replace("..", ".")) from None
        if after is not found:
            self.lead_or_refuse()
            self._order([(found, after)])
        return after

    def _restore(self, rollout: Rollout, actor: str, why: str) -> Rollout:
        """Take a succeeded rollout back. What runs against its version has lost its comparison and ends, too."""
        self.lead_or_refuse()
        now = self.clock.now()
        after = orders.roll_back(rollout, now, actor, why)
        gone = f"version {rollout.from_version} was restored: its comparison with {rollout.version} is void"
        changes: list[tuple[Rollout | None, Rollout]] = [
            (r, orders.roll_back(r, now, actor, gone, self._totals(r)))
            for r in self.active.values()
            if r.model == rollout.model and r.state != "queued"
        ]
        self._order([*changes, (rollout, after)])
        return after

    def _standby(self, model: str, rollout: Rollout | None = None) -> Deployed:
        """What is deployed, if the version before it is still held ready. ApiError 404, 409."""
        blue = self.deployed.get(model)
        if blue is None:
            raise ApiError(404, f"model {model}: no version of it is deployed.")
        own = rollout is None or blue.rollout_id == rollout.id
        if rollout is not None and not own and blue.version != rollout.version:
            raise ApiError(
                409,
                f"rollout {rollout.id}: version {blue.version} was deployed after it; roll that one back: "
                f"{blue.rollout_id}.",
            )
        # Back at its version by the way back from a later one, a rollout has no standby of its own any more.
        if not own or blue.previous_until is None or blue.previous_until <= self.clock.now():
            raise ApiError(
                409,
                f"model {model}: no earlier version is held ready (it is for {self.config.keep_hot_s:g} s after a "
                "switch, and going back uses it up: serving.yaml, keep_hot_s). Roll it out again: fx rollout start.",
            )
        return blue

    def _order(self, changes: list[tuple[Rollout | None, Rollout]]) -> None:
        try:
            self._commit(changes)
        except NotLeader:
            self.stand_down()
            self.lead_or_refuse()
        except Conflict as error:
            raise ApiError(409, str(error)) from None
        except StateError as error:
            raise ApiError(503, f"the controller's database: {error}. Nothing was changed; ask again.") from None

    def _read(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except StateError as error:
            raise ApiError(503, f"the controller's database: {error}. Ask again in a few seconds.") from None

    def _settings(self, model: str, overrides: dict[str, Any]) -> RolloutPolicy:
        try:
            return self.config.policy(model, overrides)
        except ValidationError as error:
            key, value, problem = first_problem(error)
            remedy = "Change it, or leave it out for the value of serving.yaml (docs/configuration.md lists all)."
            raise ApiError(422, f"policy.{key}: {value!r}: {problem}. {remedy}") from None

    def _bundle_or_404(self, model: str, version: str) -> None:
        if self.sources.bundle(model, version) is None:
            bundles = self.stores.bundles / model
            known = sorted(p.name for p in bundles.iterdir() if p.is_dir()) if bundles.is_dir() else []
            folder = bundle_dir(self.stores.bundles, model, version)
            raise ApiError(
                404, f"version: no bundle {folder}. Exported versions of {model}: {', '.join(known) or 'none'}."
            )


def _superseded_by(old: Rollout, new: Rollout) -> bool:
    """Experiments and dry runs end nothing but what waits and is of their kind; nobody ends a running experiment."""
    if new.kind == "ab" or new.dry_run or old.kind == "ab":
        return old.state == "queued" and (old.kind, old.dry_run) == (new.kind, new.dry_run)
    if old.state == "queued":
        return True
    # A bake that a restart of the controller interrupted is one all the same.
    back_soon = old.state == "deploying" and old.live_since is not None and old.step == old.last_step
    baking = old.state == "baking" or (back_soon and not old.dry_run)
    return new.policy["supersede"] == "running" and not baking and old.state != "finalizing"

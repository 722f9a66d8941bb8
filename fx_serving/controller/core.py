"""The loop that brings evidence, state machine, database and routing table together.

Every change is committed with its audit records first, and only then put into the routing table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

import msgspec

from fx_serving.client.home import Stores
from fx_serving.client.logs import current, log_context
from fx_serving.config import ServingConfig
from fx_serving.controller import machine
from fx_serving.controller.gather import Gatherer
from fx_serving.controller.publish import Publisher, routes
from fx_serving.controller.records import audit_of, decode, deploys_of, encode, entry_of
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.sources import Clock, RealSources, Sources, SystemClock
from fx_serving.controller.spans import RolloutSpans
from fx_serving.controller.steps import finish
from fx_serving.controller.watch import Watch
from fx_serving.dataplane.errors import ApiError
from fx_serving.state import (
    AuditEntry,
    Change,
    Conflict,
    Deployed,
    NotLeader,
    RolloutRow,
    StateError,
    StateStore,
    open_state,
)

log = logging.getLogger("fx_serving.controller")

TICK_S = 0.05
JUDGE_S = 0.25  # evidence needs time to differ
RETRY_S = 1.0
UNJUDGED_S = 10.0  # a candidate whose evidence cannot be judged for so long is watched by nobody


class Core:
    """Owns the rollouts of one database while it leads. All methods run on one event loop."""

    def __init__(
        self,
        stores: Stores,
        config: ServingConfig,
        *,
        clock: Clock | None = None,
        sources: Sources | None = None,
        state: StateStore | None = None,
    ) -> None:
        self.stores, self.config = stores, config
        self.clock: Clock = clock or SystemClock()
        self.sources: Sources = sources or RealSources(stores, config)
        self.state: StateStore = state or open_state(stores)
        self.gatherer = Gatherer(self.sources, self.clock)
        self.publisher = Publisher(stores.routing)
        self.spans = RolloutSpans()
        self.term: int | None = None
        self.leading = False
        self.active: dict[str, Rollout] = {}
        self.deployed: dict[str, Deployed] = {}
        self.watches: dict[str, Watch] = {}
        self._doubt = False
        self._retry_at = 0.0
        self._looked_at_standbys = float("-inf")

    def lead(self, term: int | None = None) -> None:
        """Take up unfinished rollouts, and put the table of the database in force. Nothing changes where that fails."""
        view = self.state.view()
        before = [decode(row) for row in view.active]
        now = self.clock.now()
        after = [machine.recover(rollout, now) for rollout in before]
        why = "it takes up what is unfinished"
        took = entry_of(now, "", "", "controller leads", why, term=term, unfinished=[r.id for r in before])
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a is not b]
        generation = self.state.commit(self._change(changed, extra=(took,)), term)
        self.stand_down()
        self.term, self.deployed = term, dict(view.deployed)
        for rollout in after:
            self.active[rollout.id] = rollout
            self.watches[rollout.id] = Watch(self.clock.monotonic())
        self.leading, self._doubt = True, False
        self.publisher.forget_foreign(term or 0)
        self._publish(generation)

    def stand_down(self) -> None:
        """Another controller leads, or the database is not sure: drop everything held in memory."""
        for watch in self.watches.values():
            watch.close()
        self.active, self.watches, self.deployed = {}, {}, {}
        self.leading = False

    async def run(self) -> None:
        """Advance rollouts for ever."""
        while True:
            try:
                await self.tick()
            except Exception:
                log.exception("this tick failed; the next tries again")
            await asyncio.sleep(TICK_S)

    def renew(self) -> None:
        """Show the workers that a controller lives."""
        self.publisher.renew()

    async def tick(self) -> None:
        """One pass over all active rollouts."""
        if not self.leading:
            return
        if self._doubt:
            if self.clock.monotonic() >= self._retry_at:
                self._retry_at = self.clock.monotonic() + RETRY_S
                self._read_again()
            return
        try:
            self._release_standbys()
            for rollout in sorted(self.active.values(), key=lambda r: r.created_at):
                if self.active.get(rollout.id) is rollout:
                    await self._turn(rollout)
        except NotLeader:
            log.warning("another controller leads now")
            self.stand_down()
        except StateError as error:
            log.error("the database: %s; what is committed is read again", error)

    async def _turn(self, rollout: Rollout) -> None:
        """One rollout's; what goes wrong with it does not keep the others from theirs."""
        with log_context(rollout_id=rollout.id):
            try:
                await self._tick(rollout)
            except StateError:
                raise
            except Exception as error:
                log.exception("rollout %s: this tick failed; the next tries again", rollout.id)
                self._unjudged(rollout, error)

    def _unjudged(self, rollout: Rollout, error: Exception) -> None:
        """Take back a candidate with traffic that no gate has been able to judge for too long."""
        if self.active.get(rollout.id) is not rollout or not rollout.live:
            return
        watch, now = self.watches[rollout.id], self.clock.monotonic()
        if watch.failing_since is None:
            watch.failing_since = now
        if now - watch.failing_since >= UNJUDGED_S:
            why = f"its evidence could not be judged for {UNJUDGED_S:g} s: {type(error).__name__}: {error}"
            self._commit([(rollout, finish(rollout, self.clock.now(), "rolled_back", why))])

    def _read_again(self) -> None:
        try:
            self.lead(self.term)
        except NotLeader:
            self.stand_down()
        except StateError as error:
            log.error("the database: %s; rollouts stand still", error)

    async def _tick(self, rollout: Rollout) -> None:
        watch = self.watches[rollout.id]
        if rollout.state == "queued" and not self._may_start(rollout):
            return
        if rollout.state == "verifying" and watch.check is None:
            watch.check = asyncio.create_task(self.gatherer.check(rollout))
        if rollout.state == "testing" and not rollout.checked and watch.suite is None:
            watch.suite = asyncio.create_task(self.sources.suite(rollout))
        if rollout.live:
            if self.clock.monotonic() - watch.judged < JUDGE_S:
                return
            watch.judged = self.clock.monotonic()
        blue = self.deployed.get(rollout.model)
        work = (self.gatherer.evidence, rollout, watch, self.publisher.generation, blue.version if blue else None)
        evidence = work[0](*work[1:]) if self.sources.inline else await asyncio.to_thread(*work)
        if self.active.get(rollout.id) is rollout:  # nobody else changed it while the evidence was gathered
            after = machine.advance(rollout, evidence, self.clock.now())
            watch.failing_since = None
            if after is not rollout:
                self._commit([(rollout, after)])

    def _may_start(self, rollout: Rollout) -> bool:
        """Whether its turn has come: none of its model runs or is older in the queue, and there is room."""
        running = [r for r in self.active.values() if r.state != "queued"]
        if len(running) >= self.config.max_active_rollouts or any(r.model == rollout.model for r in running):
            return False
        waiting = [r for r in self.active.values() if r.state == "queued" and r.model == rollout.model]
        return min(waiting, key=lambda r: r.created_at) is rollout

    def _release_standbys(self) -> None:
        if self.clock.monotonic() - self._looked_at_standbys < RETRY_S:
            return
        self._looked_at_standbys = self.clock.monotonic()
        now = self.clock.now()
        for model, blue in list(self.deployed.items()):
            if blue.previous_until is not None and blue.previous_until <= now:
                why = f"version {blue.previous} was kept hot for {self.config.keep_hot_s:g} s after the switch"
                entry = entry_of(now, model, blue.rollout_id, "standby released", why)
                released = msgspec.structs.replace(blue, previous=None, previous_until=None)
                self._commit([], {model: released}, (entry,))

    def _change(
        self,
        changes: Iterable[tuple[Rollout | None, Rollout]],
        deploy: Mapping[str, Deployed | None] | None = None,
        extra: tuple[AuditEntry, ...] = (),
    ) -> Change:
        rows: list[RolloutRow] = []
        entries: list[AuditEntry] = []
        deploys: dict[str, Deployed | None] = dict(deploy or {})
        for before, after in changes:
            rows.append(encode(after))
            deploys |= deploys_of(before, after, self.clock.now(), self.config.keep_hot_s)
            entries += audit_of(before, after)
        if run_id := current().get("run_id"):  # the Dagster run that asked for it
            entries = [msgspec.structs.replace(entry, detail={**entry.detail, "run_id": run_id}) for entry in entries]
        return Change(rollouts=tuple(rows), deploy=deploys, audit=(*entries, *extra))

    def _commit(
        self,
        changes: list[tuple[Rollout | None, Rollout]],
        deploy: Mapping[str, Deployed | None] | None = None,
        extra: tuple[AuditEntry, ...] = (),
    ) -> None:
        """Make transitions durable, then visible."""
        change = self._change(changes, deploy, extra)
        try:
            generation = self.state.commit(change, self.term)
        except (NotLeader, Conflict):
            raise
        except StateError:
            self._doubt = True  # it may have been committed, or not: what counts is what the database says
            raise
        for entry in change.audit:
            said = ("rollout %s of %s: %s: %s", entry.rollout_id or "-", entry.model or "-", entry.what, entry.why)
            log.info(*said, extra={"rollout_id": entry.rollout_id})
        for model, blue in change.deploy.items():
            if blue is None:
                self.deployed.pop(model, None)
            else:
                self.deployed[model] = blue
        for before, after in changes:
            self._remember(before, after)
        self._publish(generation, anew=False)

    def _remember(self, before: Rollout | None, after: Rollout) -> None:
        self.spans.moved(before, after, self.clock.now())
        if after.finished:
            self.active.pop(after.id, None)
            if watch := self.watches.pop(after.id, None):
                watch.close()
            return
        self.active[after.id] = after
        same = before is not None and (before.state, len(before.steps)) == (after.state, len(after.steps))
        if not same or after.id not in self.watches:
            if watch := self.watches.get(after.id):
                watch.close()
            fresh = Watch(self.clock.monotonic())
            if watch and after.live:
                fresh.pairs, fresh.paired_at = watch.pairs, watch.paired_at
            self.watches[after.id] = fresh

    def _publish(self, generation: int, anew: bool = True) -> None:
        """Put the committed state in force; a commit that changes no route asks the workers for nothing."""
        models = routes(self.deployed, self.active.values(), self.clock.now())
        if anew or models != self.publisher.models:
            try:
                self.publisher.publish(generation, models, self.term or 0)
            except OSError as error:  # it is committed: the next renewal of the lease writes the same table
                log.error("cannot write the routing table: %s", error)

    def lead_or_refuse(self) -> None:
        """ApiError 503 where this controller may not change anything now."""
        if not self.leading or self._doubt:
            raise ApiError(
                503,
                "this controller does not lead at the moment (another one does, or the database does not answer). "
                "Predictions go on; ask again in a few seconds, or ask the service where the leader runs.",
                "not_leading",
            )

    def close(self) -> None:
        """Close the database."""
        self.stand_down()
        self.state.close()

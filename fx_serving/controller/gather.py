"""Gathering what is known of an active rollout: verification, smoke test, workers, counts, outcomes."""

from __future__ import annotations

import asyncio
import logging

from fx_serving.controller.facts import Suite
from fx_serving.controller.gates import choose_salt, pair, reference_keys
from fx_serving.controller.machine import Evidence
from fx_serving.controller.rollout import Rollout
from fx_serving.controller.sources import Clock, Sources
from fx_serving.controller.watch import Watch

log = logging.getLogger("fx_serving.controller")

PAIRS_S = 10.0
REFERENCE_KEYS = 10_000


class Gatherer:
    """Asks the sources. `evidence` may run in a thread; of one rollout only one at a time."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self.sources, self.clock = sources, clock

    async def check(self, rollout: Rollout) -> tuple[str, str]:
        """(reason for refusing the bundle, the salt of its split)."""
        refused = await self.sources.verify(rollout.model, rollout.version)
        if refused or rollout.from_version is None:
            return refused, ""
        try:
            recent = self.sources.keys(REFERENCE_KEYS)
        except Exception as error:  # generated keys serve as well
            log.warning("no keys of past predictions: %s", error)
            recent = []
        indexes = range(rollout.last_step + 1)
        weights = {rollout.plan_of(i).weight for i in indexes}
        work = (choose_salt, rollout.id, reference_keys(recent), sorted(w for w in weights if 0 < w < 100))
        salt = work[0](*work[1:]) if self.sources.inline else await asyncio.to_thread(*work)
        return "", salt.salt

    def evidence(self, rollout: Rollout, watch: Watch, generation: int, blue: str | None) -> Evidence:
        """What is known now. generation: of the table in force; blue: the deployed version."""
        now = self.clock.monotonic()
        applied, refused = self.sources.confirmation(generation, rollout.model, rollout.version)
        bundle = self.sources.bundle(rollout.model, rollout.version)
        totals = None
        if rollout.live:
            watch.confirm(applied, now)
            if watch.confirmed_at is not None:
                self._refresh_pairs(rollout, watch, now)
                totals = watch.count(rollout, self.sources.counts(), now)
        refusal, salt = _result(watch.check)
        return Evidence(
            elapsed_s=watch.elapsed(now),
            behind_s=now - watch.seen_applied,
            blue=blue,
            verified=refusal,
            salt=salt,
            instruments=bundle.instruments if bundle else (),
            applied=applied,
            refused=refused,
            bundle=bundle is not None,
            suite=_suite(watch.suite),
            totals=totals,
        )

    def _refresh_pairs(self, rollout: Rollout, watch: Watch, now: float) -> None:
        policy = rollout.settings
        wanted = rollout.kind == "ab" or policy.max_sharpe_drop is not None or policy.max_brier_rise is not None
        if not wanted or now - watch.paired_at < PAIRS_S:
            return
        watch.paired_at = now
        since = rollout.live_since or rollout.created_at
        asked = [(rollout.version, "green"), (rollout.version, "shadow"), (rollout.from_version or "", "blue")]
        try:
            green, shadow, blue = (self.sources.outcomes(rollout.model, v, slot, since) for v, slot in asked)
            watch.pairs = pair([*green, *shadow], blue)
        except Exception as error:  # a database that is away says nothing of the candidate
            log.warning("rollout %s: no outcomes of predictions: %s", rollout.id, error)


def _result(check: asyncio.Task[tuple[str, str]] | None) -> tuple[str | None, str]:
    if check is None or not check.done() or check.cancelled():
        return None, ""
    problem = check.exception()
    return (f"verification could not run: {_words(problem)}", "") if problem else check.result()


def _suite(task: asyncio.Task[Suite] | None) -> Suite | None:
    if task is None or not task.done() or task.cancelled():
        return None
    problem = task.exception()
    failed = Suite(passed=0, total=1, failures=(f"the suite could not run: {_words(problem)}",))
    return failed if problem else task.result()


def _words(problem: BaseException | None) -> str:
    """What went wrong; some exceptions, a timeout for one, say nothing but their name."""
    return str(problem) or type(problem).__name__

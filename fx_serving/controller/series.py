"""The last minutes of each model, one sample a second: what the console draws."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from fx_serving.client.clock import to_iso
from fx_serving.controller.core import Core
from fx_serving.evidence import Key, SlotEvidence

log = logging.getLogger("fx_serving.controller")

KEPT = 3600
_NONE = SlotEvidence()


class SeriesDesk:
    """Samples the workers' counts."""

    def __init__(self, engine: Core) -> None:
        self.engine = engine
        self._samples: dict[str, deque[dict[str, Any]]] = {}
        self._last: dict[Key, SlotEvidence] | None = None

    async def run(self) -> None:
        """Sample for ever."""
        while True:
            try:
                self.sample(await asyncio.to_thread(self.engine.sources.counts))
            except Exception:
                log.exception("no sample this second")
            await asyncio.sleep(1.0)

    def sample(self, counts: dict[Key, SlotEvidence]) -> None:
        """Note what happened since the last sample."""
        last, self._last = self._last, counts
        if last is None:
            return
        t = to_iso(self.engine.clock.now())
        for model, route in self.engine.publisher.models.items():
            weight = route.green.weight if route.green else 0.0
            slots: dict[str, Any] = {}
            if route.blue:
                slots["blue"] = _slot(counts, last, (model, route.blue, "blue"), 100.0 - weight)
            if route.green:
                slots["green"] = _slot(counts, last, (model, route.green.version, "green"), weight)
            self._samples.setdefault(model, deque(maxlen=KEPT)).append({"t": t, "slots": slots})

    def last(self, model: str, minutes: float) -> list[dict[str, Any]]:
        """The samples of the last minutes, oldest first; none for a model that is not deployed."""
        kept = self._samples.get(model, ())
        return list(kept)[-max(int(minutes * 60), 1) :]


def _slot(counts: dict[Key, SlotEvidence], last: dict[Key, SlotEvidence], key: Key, weight: float) -> dict[str, Any]:
    found = counts.get(key, _NONE).since(last.get(key, _NONE))
    return {
        "requests": found.requests,
        "errors": found.errors,
        "p50_ms": found.quantile_ms(0.5),
        "p99_ms": found.quantile_ms(0.99),
        "weight": weight,
    }

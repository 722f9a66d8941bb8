"""The feature blobs a worker holds in memory, and how it follows the store they are published in.

Nothing here runs within a request: the store is polled in the background, and a prediction reads what is held.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np

from fx_serving.client.blob_store import BlobStore, BlobStoreError, Pair
from fx_serving.client.clock import to_iso
from fx_serving.client.snapshot import BlobError, FeatureBlob

log = logging.getLogger("fx_serving.features")
POLL_S = {"folder": 0.2, "redis": 0.5}
_LONGEST_PAUSE_S = 2.0
# The store's own limits are shorter; this one ends an answer that comes byte by byte.
_DEADLINE_S = 5.0
T = TypeVar("T")


class ViewRows:
    """The rows of one blob: immutable. `values` float32 (rows, names), NaN where the store had no value."""

    __slots__ = ("code", "names", "times", "values", "version")

    def __init__(self, blob: FeatureBlob) -> None:
        self.names = tuple(blob.names)
        self.times = [row.time for row in blob.rows]
        table = [[np.nan if v is None else v for v in row.values] for row in blob.rows]
        with np.errstate(over="ignore"):
            self.values = np.array(table, dtype=np.float32).reshape(len(table), len(self.names))
        self.values.setflags(write=False)
        self.version = blob.version
        self.code = blob.code


class FeatureSnapshots:
    """All blobs of one store, read again when their mark changes.

    A store whose blobs may vanish (Redis: killed, restarted empty or from an old copy, answering nonsense) takes
    nothing away: what is held stays, growing older, until something as new is read. Age limits are the reader's.
    """

    def __init__(self, store: BlobStore) -> None:
        self.store = store
        # By pair: the rows, or the text of the error where there never were any. Replaced, never changed in place.
        self.held: Mapping[Pair, ViewRows | str] = {}
        # By pair: why what is held may not be the newest.
        self.doubts: Mapping[Pair, str] = {}
        # Why the store cannot be read, and since when (wall clock).
        self.problem: str | None = None
        self.since: datetime | None = None
        self._marks: dict[Pair, object] = {}

    @property
    def hint(self) -> str:
        """The state of the store, as a sentence for a refusal; empty while it is well."""
        if self.problem is None or self.since is None:
            return ""
        return f" The feature store is degraded since {to_iso(self.since)}: {self.problem}."

    async def poll(self) -> bool:
        """Read what changed; decoding happens off the event loop, one blob at a time. False if the store failed."""
        try:
            marks = await self._ask(self.store.scan)
            self._forget(marks)
            for pair, mark in marks.items():
                if self._marks.get(pair) != mark:
                    await self._load(pair, mark)
        except BlobStoreError as error:
            self._failed(str(error))
            return False
        if self.problem is not None:
            log.info("feature store: recovered; it was degraded since %s", self.since)
            self.problem = self.since = None
        return True

    async def run(self) -> None:
        """Poll for ever, more slowly while the store fails."""
        usual = pause = POLL_S[self.store.kind]
        try:
            while True:
                pause = usual if await self.poll() else min(pause * 2, _LONGEST_PAUSE_S)
                await asyncio.sleep(pause)
        finally:
            self.store.drop()  # a thread still waiting for an answer would hold up the end of the process

    def _forget(self, marks: Mapping[Pair, object]) -> None:
        """Let go of what is no longer published, unless the store may have lost it."""
        gone = self.held.keys() - marks.keys()
        if gone and not self.store.volatile:
            self.held = {pair: rows for pair, rows in self.held.items() if pair in marks}
        elif gone - self.doubts.keys():
            text = "no longer in the store; what was read last is kept"
            self.doubts = {**self.doubts, **{pair: text for pair in gone}}
        self._marks = {pair: mark for pair, mark in self._marks.items() if pair in marks}

    async def _load(self, pair: Pair, mark: object) -> None:
        """Read one blob; a corrupt one is remembered as the text of its error where there is nothing better."""
        before = self.held.get(pair)
        try:
            rows = await self._ask(lambda: self._read(pair))
        except BlobError as error:
            if self.store.volatile and isinstance(before, ViewRows):
                self.doubts = {**self.doubts, pair: f"corrupt; what was read last is kept: {error}"}
                return  # without its mark: it is read again, since its repair may not change the mark
            self.held = {**self.held, pair: str(error)}
            if not self.store.volatile:
                self._marks[pair] = mark
            return
        self._marks[pair] = mark
        if self.store.volatile and isinstance(before, ViewRows) and _newest(rows) < _newest(before):
            self.doubts = {**self.doubts, pair: "older in the store than what was read before, which is kept"}
            return
        self.held = {**self.held, pair: rows}
        self.doubts = {other: text for other, text in self.doubts.items() if other != pair}

    def _read(self, pair: Pair) -> ViewRows:
        blob = self.store.read(*pair)
        if (blob.view, blob.instrument) != pair:
            raise BlobError(f"holds {blob.view}/{blob.instrument}")
        return ViewRows(blob)

    async def _ask(self, call: Callable[[], T]) -> T:
        """The result of a call to the store, in a thread."""
        task = asyncio.ensure_future(asyncio.to_thread(call))
        done, _ = await asyncio.wait({task}, timeout=_DEADLINE_S)
        if not done:
            self._failed(f"no answer within {_DEADLINE_S:g} s")
            self.store.drop()
        return await task

    def _failed(self, problem: str) -> None:
        if self.since is None:
            self.since = datetime.now(UTC)
            log.warning("feature store: %s; predictions go on from what was read last", problem)
        self.problem = problem


def _newest(rows: ViewRows) -> datetime:
    return rows.times[-1] if rows.times else datetime.min.replace(tzinfo=UTC)

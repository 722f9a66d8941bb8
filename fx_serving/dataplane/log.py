"""The prediction log writer: buffered, flushed and fsynced by a thread, rotated, patient with a full disk.

A SIGTERM loses nothing (stop() flushes), a SIGKILL at most the records of the last flush interval and its
fsync.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections import deque
from pathlib import Path

from fx_serving.client.files import fsync_dir
from fx_serving.client.prediction_log import KINDS, PREFIXES, Kind, segments

log = logging.getLogger("fx_serving.log")

_RETRY_S = 1.0


class _Segments:
    """Appends whole lines to <prefix><worker>-<seq>.ndjson; a failed write leaves no part of a line."""

    def __init__(self, folder: Path, worker: str, kind: Kind, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._stem = PREFIXES[kind] + worker
        used = segments(folder, kind).get(worker, [])
        self._seq = int(used[-1].stem.rpartition("-")[2]) if used else 0
        self._fd: int | None = None
        self._size = 0
        self._torn = False

    def append(self, lines: list[bytes]) -> None:
        """Write and fsync the lines. Raises OSError, with nothing of them left in the segment."""
        if self._fd is None or self._size >= self.max_bytes:
            self._open_next()
        if self._torn:
            os.ftruncate(self._fd, self._size)  # type: ignore[arg-type]
            self._torn = False
        data = memoryview(b"".join(lines))
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])  # type: ignore[arg-type]
            os.fsync(self._fd)  # type: ignore[arg-type]
        except OSError:
            self._torn = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)  # type: ignore[arg-type]
                self._torn = False
            raise
        self._size += written

    def _open_next(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        fd = None
        while fd is None:
            path = self.folder / f"{self._stem}-{self._seq + 1:06d}.ndjson"
            try:
                fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            except FileExistsError:  # by a worker of this name that is still ending, its supervisor having been killed
                self._seq += 1
        try:
            fsync_dir(self.folder)
        except OSError:
            os.close(fd)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self.close()
        self._fd, self._size, self._seq, self._torn = fd, 0, self._seq + 1, False

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class PredictionLogWriter:
    """Takes encoded records from the event loop, writes them from its own thread."""

    def __init__(
        self,
        folder: Path,
        worker: str,
        flush_ms: float = 200,
        max_bytes: int = 64 * 1024 * 1024,
        max_waiting: int = 100_000,
    ) -> None:
        self._streams = {kind: _Segments(folder, worker, kind, max_bytes) for kind in KINDS}
        self._waiting: dict[Kind, deque[bytes]] = {kind: deque() for kind in KINDS}
        self.interval_s = flush_ms / 1000
        self._max_waiting = max_waiting
        self._stop = threading.Event()
        self._flushing = threading.Lock()
        self.problem: str | None = None
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Records accepted and not yet on disk."""
        return sum(len(lines) for lines in self._waiting.values())

    def add(self, record: bytes, kind: Kind = "prediction") -> bool:
        """Accept one record (JSON without newline); False if it was given up because too many are waiting."""
        if len(self._waiting[kind]) >= self._max_waiting:
            self.dropped += 1
            return False
        self._waiting[kind].append(record + b"\n")
        return True

    def flush(self) -> bool:
        """Write all that is waiting; False if the disk refuses (it stays waiting)."""
        with self._flushing:
            for kind, lines in self._waiting.items():
                batch = list(lines)
                if not batch:
                    continue
                try:
                    self._streams[kind].append(batch)
                except OSError as error:
                    if self.problem is None:
                        log.error("prediction log: %s; keeping records in memory", error)
                    self.problem = f"{type(error).__name__}: {error}"
                    return False
                for _ in batch:  # the event loop may have appended more behind them meanwhile
                    lines.popleft()
            if self.problem is not None:
                log.warning("prediction log: writing again")
            self.problem = None
            return True

    def _run(self) -> None:
        while not self._stop.wait(self.interval_s if self.problem is None else _RETRY_S):
            self.flush()

    def stop(self) -> bool:
        """Flush and close; False if records could not be written."""
        self._stop.set()
        self._thread.join()
        done = self.flush()
        for stream in self._streams.values():
            stream.close()
        if not done:
            log.error("prediction log: %d records lost: %s", self.waiting, self.problem)
        return done

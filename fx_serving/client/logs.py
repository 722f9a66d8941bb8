"""How processes of the platform log: a line of JSON each, with the ids of what the work belongs to.

    logs.setup("controller")
    with logs.log_context(rollout_id=rollout.id):
        log.warning("no evidence yet")     # {"ts": ..., "level": "warning", ..., "rollout_id": "6f2c..."}

With FX_LOG_FORMAT=json the lines go to stderr as they are, and whoever started the process keeps them (log_capture.py);
without it people read them. docs/logs.md says what is where.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from fx_serving.client.log_files import ONE_WRITE, RotatingFile, Scrubber, readable

FORMAT = "FX_LOG_FORMAT"
RUN_HEADER = "x-fx-run-id"
#: What a line can belong to.
IDS = ("run_id", "partition", "rollout_id", "prediction_id", "request_id")
_RUN_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_process: dict[str, str] = {}
_NO_IDS: Mapping[str, str] = MappingProxyType({})
_context: ContextVar[Mapping[str, str]] = ContextVar("fx_log_context", default=_NO_IDS)


@contextlib.contextmanager
def log_context(**ids: str | None) -> Iterator[None]:
    """Give every line within, of this thread or task and those it starts, these ids (of IDS; None: leave as it is)."""
    token = _context.set({**_context.get(), **{name: value for name, value in ids.items() if value is not None}})
    try:
        yield
    finally:
        _context.reset(token)


def current() -> Mapping[str, str]:
    """The ids in force here."""
    return _context.get()


def valid_run_id(given: str | bytes | None) -> str | None:
    """A run id as sent by a client, if it is one: 1 to 64 of the characters A-Z a-z 0-9 -."""
    text = given.decode("latin-1") if isinstance(given, bytes) else given or ""
    return text if _RUN_ID.fullmatch(text) else None


def entry_of(record: logging.LogRecord) -> dict[str, Any]:
    """A log record as the content of a line. An id in the record's `extra` goes before the context's."""
    stamp = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    entry = {"ts": stamp, "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
    entry |= _process
    context = _context.get()
    for name in IDS:
        value = getattr(record, name, None) or context.get(name)
        if value:
            entry[name] = str(value)[:128]
    if record.exc_info and record.exc_info[0]:
        entry["exception"] = "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return entry


class JsonFormatter(logging.Formatter):
    """Records as lines of JSON without secrets, short enough to be written in one piece."""

    def __init__(self, scrub: Scrubber | None = None) -> None:
        super().__init__()
        self._scrub = scrub or Scrubber()

    def format(self, record: logging.LogRecord) -> str:
        return self.line(entry_of(record)).decode()

    def line(self, entry: dict[str, Any]) -> bytes:
        """One line, without its newline."""
        for name in ("message", "exception"):
            if name in entry:
                entry[name] = self._scrub(entry[name])
        encoded = _encoded(entry)
        for keep in (2000, 800, 100):
            if len(encoded) < ONE_WRITE:
                break
            encoded = _encoded(entry | {k: _shortened(entry[k], keep) for k in ("message", "exception") if k in entry})
        return encoded


class TextFormatter(logging.Formatter):
    """Records for people."""

    def __init__(self) -> None:
        super().__init__()
        self._scrub = Scrubber()

    def format(self, record: logging.LogRecord) -> str:
        return self._scrub(readable(entry_of(record)))


class StderrHandler(logging.Handler):
    """Each record in one write, so that lines of several processes that share a pipe do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            data = (self.format(record) + "\n").encode("utf-8", "replace")
            os.write(2, data)
        except OSError:  # nobody reads any more: the work goes on
            pass
        except Exception:
            self.handleError(record)


class FileHandler(logging.Handler):
    """Records into a file that several processes share."""

    def __init__(self, file: RotatingFile) -> None:
        super().__init__()
        self.file = file
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.file.write(self.format(record).encode("utf-8", "replace") + b"\n")
        except Exception:
            self.handleError(record)


def setup(process: str, level: str | None = None) -> None:
    """Log to stderr from here on, as one process of several. level: FX_LOG_LEVEL without it, else info."""
    _process["process"] = process
    root = logging.getLogger()
    if root.handlers:  # who has this process in hand has its own
        return
    handler = StderrHandler()
    handler.setFormatter(JsonFormatter() if os.environ.get(FORMAT, "").lower() == "json" else TextFormatter())
    root.addHandler(handler)
    root.setLevel(level or os.environ.get("FX_LOG_LEVEL", "INFO").upper())
    sys.excepthook = _last_words
    # httpx logs addresses, and those may hold an account's number.
    for noisy in ("httpx", "httpcore", "asyncio", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _last_words(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return sys.__excepthook__(kind, error, trace)
    logging.getLogger("fx").critical("the process ends: %s", error, exc_info=(kind, error, trace))


def _encoded(entry: Mapping[str, Any]) -> bytes:
    try:
        return msgspec.json.encode(entry)
    except UnicodeEncodeError:  # half a surrogate pair, as in names of files that are no UTF-8
        return msgspec.json.encode({k: str(v).encode("utf-8", "replace").decode() for k, v in entry.items()})


def _shortened(text: str, keep: int) -> str:
    """The beginning and the end of a text; the end says most."""
    if len(text) <= keep:
        return text
    return f"{text[: keep // 4]} [... {len(text) - keep} characters ...] {text[-(keep - keep // 4) :]}"

"""Log files: lines of JSON, rotated, without secrets; and the program that writes what another process prints.

    python log_files.py FX_HOME/logs/<name>.log [--echo] < the output of a process

Standard library only, and imported from nowhere: it is run by its path, so that it starts in milliseconds. A process of
its own takes the lines, since it outlives a killed parent and none of its pauses hold up who prints.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

DAYS = 7
MAX_MB = 64.0
PARTS = 16  # so many times MAX_MB is what one name may hold: a fault that fills the log must not fill the disk
ONE_WRITE = 4096  # bytes that a pipe takes in one piece, whoever else writes to it
_LONGEST = 65_536  # a line longer than this is cut into several
_START = b'{"ts":"'
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# DEBUG only where a line states it as its level, as Dagster's do: what is taken for one is not shown by default.
_LEVEL = re.compile(r"\b(CRITICAL|ERROR|WARNING)\b|(?<= - )DEBUG(?= - )")
_SECRET_NAME = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|_KEY(_ID)?$|CREDENTIAL|ACCOUNT|_HEADERS$|ALERT.*URL|HEARTBEAT_URL"
)
# What looks like a secret: words without which there is none (found much faster), what to find, what to put there.
_RULES = (
    (("@",), re.compile(r"://[^\s/@\"'\\]+@"), "://***@"),
    (("bearer ", "basic "), re.compile(r"\b((?i:bearer|basic) +)[\w.~+/=-]{8,}"), r"\1***"),
    (
        ("key=", "token=", "secret=", "password=", "signature=", "sig="),
        re.compile(r"([?&](?i:[\w-]*(?:key|token|secret|password|signature|sig))=)[^&\s\"'\\]+"),
        r"\1***",
    ),
    (
        ("token", "secret", "passw", "api_key", "api-key", "apikey"),
        re.compile(
            r"((?i:api[_-]?key|token|secret|password|passwd)[\"']?(?: ?= ?|[\"'] ?: ?[\"']|\\\": ?\\\")[\"']?)"
            r"[^\s\"'&,;)\\]{6,}"
        ),
        r"\1***",
    ),
    (("fxp_",), re.compile(r"(fxp_[0-9a-f]{12}_)[\w-]{20,}"), r"\1***"),
)


class Scrubber:
    """Takes secrets out of text: what looks like one, and the values of an environment that are known to be one."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        known: set[str] = set()
        for name, value in environment.items():
            if _SECRET_NAME.search(name):
                known |= {part.strip() for part in (value, *re.split(r"[,\s]+", value)) if len(part.strip()) >= 8}
            elif "://" in value and "@" in value:
                with contextlib.suppress(ValueError):
                    password = urlsplit(value).password or ""
                    known |= {part for part in (password, unquote(password)) if len(part) >= 4}
        known |= {json.dumps(value)[1:-1] for value in known}
        self._known = sorted(known, key=len, reverse=True)  # one may begin with another

    def __call__(self, text: str) -> str:
        """The text with `***` for each secret."""
        for secret in self._known:
            text = text.replace(secret, "***")
        lower = text.lower()
        for words, pattern, put in _RULES:
            if any(word in lower for word in words):
                text = pattern.sub(put, text)
        return text


class RotatingFile:
    """A file that several processes may append to, begun anew each UTC day and when it has grown too large.

    The old one becomes `<name>.log.<day>`, `<name>.log.<day>.1`, ...; who still has it open writes its last lines
    there, so none is lost. A disk that takes nothing loses lines, says how many once it can, and stops nobody.
    """

    def __init__(
        self,
        path: Path,
        days: int | None = None,
        max_bytes: int | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = Path(path)
        self.days = days if days is not None else int(_number("FX_LOG_DAYS", DAYS))
        self.max_bytes = max_bytes or int(_number("FX_LOG_MAX_MB", MAX_MB) * 2**20)
        self.lost = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._day, self._size, self._torn = "", 0, False

    def write(self, lines: bytes) -> None:
        """Append whole lines, each ending with a newline."""
        with self._lock:
            if self.lost and self._put(self._notice()):
                self.lost = 0
            if not self._put(lines):
                self.lost += lines.count(b"\n")

    def close(self) -> None:
        """Close it; a later write opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _put(self, lines: bytes) -> bool:
        try:
            fd = self._current(len(lines))
            data = b"\n" + lines if self._torn else lines
            written = os.write(fd, data)
            self._size += written
            self._torn = written < len(data)
            if self._torn:  # the rest, or the reason why there is none
                self._size += os.write(fd, data[written:])
                self._torn = False
        except OSError:
            return False
        return True

    def _current(self, more: int) -> int:
        """The descriptor to write to; another one than before where this or another process has rotated."""
        fd = self._open() if self._fd is None or self._moved() else self._fd
        today = f"{self._clock():%Y-%m-%d}"
        if self._size and (self._day != today or self._size + more > self.max_bytes):
            self._rotate(today)
            fd = self._open()
        return fd

    def _open(self) -> int:
        self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        found = os.fstat(self._fd)
        self._size = found.st_size
        begun = datetime.fromtimestamp(found.st_mtime, UTC) if found.st_size else self._clock()
        self._day = f"{begun:%Y-%m-%d}"
        self.clean()
        return self._fd

    def _moved(self) -> bool:
        assert self._fd is not None
        mine = os.fstat(self._fd)
        self._size = mine.st_size  # what others have added counts, too
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return True
        return (found.st_dev, found.st_ino) != (mine.st_dev, mine.st_ino)

    def _rotate(self, today: str) -> None:
        """Put the file aside, unless another process just did."""
        lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._moved():
                target = next(name for name in self._names() if not name.exists())
                os.rename(self.path, target)
        finally:
            os.close(lock)

    def _names(self) -> Iterator[Path]:
        first = self.path.with_name(f"{self.path.name}.{self._day}")
        yield first
        number = 0
        while True:
            yield first.with_name(f"{first.name}.{(number := number + 1)}")

    def clean(self) -> None:
        """Remove what is older than `days`, and the oldest where all together are too large."""
        kept = rotated(self.path)
        oldest = f"{self._clock() - timedelta(days=self.days):%Y-%m-%d}"
        room = self.max_bytes * (PARTS - 1)
        for day, _, path in reversed(kept):
            with contextlib.suppress(OSError):
                room -= path.stat().st_size
                if day < oldest or room < 0:
                    path.unlink()

    def _notice(self) -> bytes:
        message = f"{self.lost} lines were lost: the disk did not take them"
        return line(self._clock(), "error", "fx.logs", message)


def rotated(path: Path) -> list[tuple[str, int, Path]]:
    """(day, number, file) of what was put aside of a log, the oldest first."""
    form = re.compile(re.escape(path.name) + r"\.(\d{4}-\d\d-\d\d)(?:\.(\d+))?")
    with contextlib.suppress(FileNotFoundError):
        found = [(form.fullmatch(entry.name), entry) for entry in path.parent.iterdir()]
        return sorted((match[1], int(match[2] or 0), entry) for match, entry in found if match)
    return []


def line(at: datetime, level: str, logger: str, message: str) -> bytes:
    """One line of a log."""
    stamp = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    content = {"ts": stamp, "level": level, "logger": logger, "message": message}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def readable(entry: Mapping[str, object]) -> str:
    """One line of a log for people."""
    ids = " ".join(f"{name}={entry[name]}" for name in entry if name.endswith("_id") or name == "partition")
    source = f"{entry['process']} {entry.get('logger', '')}" if "process" in entry else entry.get("logger", "")
    head = f"{str(entry.get('ts', ''))[:23]}Z {str(entry.get('level', 'info')).upper():<8}{source}: "
    trace = f"\n{entry['exception']}" if entry.get("exception") else ""
    return head + str(entry.get("message", "")) + (f"  [{ids}]" if ids else "") + trace


def plain(entry: Mapping[str, object]) -> str:
    """A line as its process would have shown it by itself: what was printed, as it was printed."""
    return readable(entry) if "process" in entry else str(entry.get("message", ""))


class Wrapper:
    """Makes lines of JSON of whatever a process prints; those that are already stay as they are."""

    def __init__(self, name: str, scrub: Callable[[str], str], clock: Callable[[], datetime] | None = None) -> None:
        self.name, self._scrub = name, scrub
        self._clock = clock or (lambda: datetime.now(UTC))
        self._in_traceback = False

    def wrap(self, raw: bytes) -> bytes:
        """Whole lines of JSON of whole raw lines."""
        lines = self._scrub(raw.decode("utf-8", "replace")).encode().split(b"\n")
        return b"".join(self._one(found) for found in lines if found.strip())

    def _one(self, raw: bytes) -> bytes:
        if raw.startswith(_START) and raw.endswith(b"}"):
            self._in_traceback = False
            return raw + b"\n"
        text = _COLOURS.sub("", raw.decode("utf-8", "replace").rstrip("\r"))
        level = "error" if self._in_traceback else "info"
        if text.startswith("Traceback (most recent call last)"):
            self._in_traceback, level = True, "error"
        elif self._in_traceback and not text.startswith(" "):
            self._in_traceback = False  # the exception itself
        elif level == "info" and (found := _LEVEL.search(text[:120])):
            level = found[0].lower()
        return line(self._clock(), level, self.name, text)


def pump(source: int, file: RotatingFile, wrapper: Wrapper, echo: int | None = None) -> None:
    """Write what comes out of a descriptor until its end. echo: where people read it, too."""
    rest = b""
    while block := os.read(source, _LONGEST):
        whole, _, rest = (rest + block).rpartition(b"\n")
        if len(rest) >= _LONGEST:
            whole, rest = (whole + b"\n" + rest if whole else rest), b""
        if whole:
            _deliver(wrapper.wrap(whole), file, echo)
    if rest:
        _deliver(wrapper.wrap(rest), file, echo)


def _deliver(lines: bytes, file: RotatingFile, echo: int | None) -> None:
    if not lines:
        return
    file.write(lines)
    if echo is not None:
        said = "".join(map(_shown, lines.splitlines()))
        with contextlib.suppress(OSError):  # the terminal may be gone
            os.write(echo, said.encode("utf-8", "replace"))


def _shown(raw: bytes) -> str:
    try:
        return plain(json.loads(raw)) + "\n"
    except (ValueError, AttributeError):  # it only looked like a line of ours
        return raw.decode("utf-8", "replace") + "\n"


def _number(variable: str, default: float) -> float:
    with contextlib.suppress(ValueError):
        given = float(os.environ.get(variable, ""))
        return given if given > 0 else default
    return default


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it ends with what it listens to, not before
        signal.signal(number, signal.SIG_IGN)
    path = Path(arguments[0])
    file = RotatingFile(path)
    file.write(b"")  # it is there from the beginning, also where nothing is ever said
    pump(0, file, Wrapper(path.stem, Scrubber()), 2 if "--echo" in arguments else None)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Log files: rotated by day and size, shared by processes, without secrets, and never in anybody's way."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_serving.client import log_files
from fx_serving.client.log_capture import Capture
from fx_serving.client.log_files import RotatingFile, Scrubber, Wrapper, line, pump, rotated
from tests.servers.serving import wait_until

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def entries(log: Path) -> list[dict]:
    """Every line of a log and of what was rotated away, oldest file first; each must be whole."""
    paths = [*(path for _, _, path in rotated(log)), *([log] if log.exists() else [])]
    return [json.loads(found) for path in paths for found in path.read_bytes().splitlines() if found]


def say(text: str, at: datetime = NOON) -> bytes:
    return line(at, "info", "test", text)


def test_a_file_is_begun_anew_at_midnight_utc(tmp_path):
    clock = Clock(datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC))
    file = RotatingFile(tmp_path / "a.log", clock=clock)
    file.write(say("before"))
    clock.now += timedelta(seconds=1)
    file.write(say("after"))
    assert [e["message"] for e in entries(tmp_path / "a.log")] == ["before", "after"]
    assert "before" in (tmp_path / "a.log.2026-11-20").read_text()
    assert "before" not in (tmp_path / "a.log").read_text()


def test_seven_days_are_kept_and_other_files_left_alone(tmp_path):
    clock = Clock()
    (tmp_path / "a.log.notes").write_text("mine")
    (tmp_path / "b.log.2020-01-01").write_text("another's")
    file = RotatingFile(tmp_path / "a.log", days=7, clock=clock)
    for _ in range(12):
        file.write(say("x"))
        clock.now += timedelta(days=1)
    file.write(say("x"))
    days = [day for day, _, _ in rotated(tmp_path / "a.log")]
    assert days == [f"{clock.now - timedelta(days=n):%Y-%m-%d}" for n in range(7, 0, -1)]
    assert (tmp_path / "a.log.notes").exists()
    assert (tmp_path / "b.log.2020-01-01").exists()


def test_a_file_that_was_left_over_from_yesterday_is_put_aside_by_the_next_process(tmp_path):
    log = tmp_path / "a.log"
    log.write_bytes(say("old"))
    yesterday = (NOON - timedelta(days=1)).timestamp()
    os.utime(log, (yesterday, yesterday))
    RotatingFile(log, clock=Clock()).write(say("new"))
    assert "old" in (tmp_path / "a.log.2026-11-19").read_text()


def test_one_name_does_not_fill_the_disk(tmp_path):
    file = RotatingFile(tmp_path / "a.log", max_bytes=1000, clock=Clock())
    for number in range(2000):
        file.write(say(f"line {number}"))
    total = sum(path.stat().st_size for path in tmp_path.glob("a.log*"))
    assert total <= 1000 * log_files.PARTS
    kept = [e["message"] for e in entries(tmp_path / "a.log")]
    assert kept[-1] == "line 1999"


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import log_files
from datetime import UTC, datetime
file = log_files.RotatingFile(Path(sys.argv[2]), max_bytes=20_000)
for number in range(int(sys.argv[4])):
    file.write(log_files.line(datetime.now(UTC), "info", sys.argv[3], f"{number} " + "x" * (number % 200)))
"""


def test_processes_that_share_and_rotate_a_file_lose_and_tear_nothing(tmp_path):
    log, count = tmp_path / "a.log", 400
    folder = str(Path(log_files.__file__).parent)
    command = [sys.executable, "-I", "-S", "-c", WRITER, folder, str(log)]
    writers = [subprocess.Popen([*command, f"p{n}", str(count)]) for n in range(4)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0, 0]
    found = entries(log)
    assert len(rotated(log)) >= 3
    for n in range(4):
        mine = [int(e["message"].split()[0]) for e in found if e["logger"] == f"p{n}"]
        assert sorted(mine) == list(range(count))


def test_what_a_child_prints_is_kept_across_rotations_and_a_killed_writer(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_LOG_MAX_MB", "0.02")
    log, count = tmp_path / "child.log", 2000
    capture = Capture(log)
    code = f"import sys\nfor n in range({count}): print(n, 'y' * 50, flush=True)\nsys.stdin.read()\nprint({count})"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=capture.output, stderr=capture.output
    )
    capture.begin()
    wait_until(lambda: len(entries(log)) == count)
    assert rotated(log)
    assert capture.writer is not None
    first = capture.writer
    first.kill()
    wait_until(lambda: capture.writer is not first)
    child.communicate(b"")
    capture.finish()
    assert [int(e["message"].split()[0]) for e in entries(log)] == list(range(count + 1))


def test_lines_printed_while_nobody_writes_wait_in_the_pipe(tmp_path):
    log = tmp_path / "child.log"
    capture = Capture(log)
    child = subprocess.Popen([sys.executable, "-c", "print('first')\nprint('last')"], stdout=capture.output)
    child.wait()
    capture.begin()
    capture.finish()
    assert [e["message"] for e in entries(log)] == ["first", "last"]


def test_a_full_disk_stops_nobody_and_is_told_afterwards(tmp_path, monkeypatch):
    file = RotatingFile(tmp_path / "a.log", clock=Clock())
    file.write(say("before"))
    real = os.write

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    file.write(say("one") + say("two"))
    file.write(say("three"))
    monkeypatch.setattr(os, "write", real)
    file.write(say("after"))
    assert [e["message"] for e in entries(tmp_path / "a.log")] == [
        "before", "3 lines were lost: the disk did not take them", "after",
    ]  # fmt: skip


def test_a_line_that_a_full_disk_has_torn_spoils_no_other(tmp_path, monkeypatch):
    file = RotatingFile(tmp_path / "a.log", clock=Clock())
    real, calls = os.write, []

    def half(fd: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    file.write(say("torn"))
    monkeypatch.setattr(os, "write", real)
    file.write(say("whole"))
    lines = (tmp_path / "a.log").read_bytes().splitlines()
    assert json.loads(lines[1])["message"].startswith("1 lines were lost")
    assert json.loads(lines[2])["message"] == "whole"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_child_ends_well_where_its_log_cannot_be_written(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    capture = Capture(tmp_path / "logs" / "child.log")
    child = subprocess.Popen([sys.executable, "-c", "print('x' * 3_000_000)"], stdout=capture.output)
    capture.begin()
    assert child.wait(120) == 0
    capture.finish()


SECRETS = {
    "FX_SERVING_TOKEN": "fxp_0123456789ab_" + "s" * 43,
    "OANDA_API_TOKEN": "broker-token-1234567890",
    "FX_STATE_URL": "postgresql://fx:p%40ss-w0rd@db:5432/fx",
    "FX_ALERT_URLS": "slack://aaaaaaaaa/bbbbbbbbb,mailto://me:hunter22@mail.example",
    "FX_HEARTBEAT_URL": "https://hc.example/ping/5f4dcc3b-secret",
}
TELLING = [
    ("token is fxp_0123456789ab_" + "s" * 43, "s" * 20),
    ("asked with broker-token-1234567890 twice", "broker-token"),
    ("connect postgresql://fx:p%40ss-w0rd@db:5432/fx failed", "ss-w0rd"),
    ("password p@ss-w0rd is wrong", "ss-w0rd"),
    ("notify slack://aaaaaaaaa/bbbbbbbbb", "bbbbbbbbb"),
    ("ping https://hc.example/ping/5f4dcc3b-secret", "5f4dcc3b"),
    ("GET https://api.example/v1?symbol=EUR&apikey=QWERTY123456&x=1", "QWERTY123456"),
    ("redis://:geheim99@cache:6379/0", "geheim99"),
    ("Authorization: Bearer abc.def.ghi-jkl", "abc.def"),
    ('{"password": "letmein99"}', "letmein99"),
    ("another fxp_ba9876543210_" + "q" * 43, "q" * 20),
]


@pytest.mark.parametrize(("text", "secret"), TELLING)
def test_secrets_do_not_get_into_a_line(text, secret):
    scrub = Scrubber(SECRETS)
    assert secret in text
    assert secret not in scrub(text)
    wrapped = Wrapper("p", scrub).wrap(text.encode() + b"\n" + say(text))
    assert secret.encode() not in wrapped
    assert len([json.loads(found) for found in wrapped.splitlines()]) == 2


@pytest.mark.parametrize(
    "text",
    [
        "rollout 6f2c of move_60m: started: from version 3",
        "token: must be one of predict, operate",
        "http://127.0.0.1:8700/docs?explain=true",
        "key: must be 1 to 256 characters long",
    ],
)
def test_ordinary_words_stay(text):
    assert Scrubber(SECRETS)(text) == text


@given(st.binary(max_size=400), st.integers(1, 60))
def test_whatever_is_printed_becomes_whole_lines(raw, size):
    read, write = os.pipe()
    with open(write, "wb") as source:
        source.write(raw)

    class Kept(RotatingFile):
        def write(self, lines: bytes) -> None:
            written.append(lines)

    written: list[bytes] = []
    original = log_files._LONGEST
    log_files._LONGEST = size
    try:
        pump(read, Kept(Path("unused")), Wrapper("p", Scrubber({})))
    finally:
        log_files._LONGEST = original
        os.close(read)
    found = b"".join(written)
    assert found == b"" or found.endswith(b"\n")
    for one in found.splitlines():
        assert {"ts", "level", "logger", "message"} <= json.loads(one).keys() or one.startswith(b'{"ts":"')


def test_levels_of_what_others_print():
    said = b"all well\n12:00 \x1b[34mERROR\x1b[0m no disk\n"
    said += b"2026-11-21 22:11:41 +0000 - dagster - DEBUG - live - STEP_SUCCESS\nno DEBUG here\n"
    said += b"Traceback (most recent call last):\n  File x\nValueError: y\nagain well\n"
    wrapped = Wrapper("p", Scrubber({})).wrap(said)
    assert json.loads(wrapped.splitlines()[1])["message"] == "12:00 ERROR no disk"
    assert [json.loads(found)["level"] for found in wrapped.splitlines()] == [
        "info", "error", "debug", "info", "error", "error", "error", "info",
    ]  # fmt: skip


def test_lines_of_several_processes_in_one_pipe_do_not_mix(tmp_path):
    """Long messages and tracebacks, too: each is one write that a pipe takes whole."""
    log = tmp_path / "many.log"
    capture = Capture(log)
    code = """
import logging, sys
from fx_serving.client import logs
logs.setup(sys.argv[1])
for n in range(150):
    try:
        raise ValueError("z" * (n * 97 % 9000))
    except ValueError:
        logging.getLogger("t").exception("%d %s", n, '"' * (n * 31 % 5000))
"""
    environment = {**os.environ, "FX_LOG_FORMAT": "json"}
    children = [
        subprocess.Popen([sys.executable, "-c", code, f"w{n}"], stderr=capture.output, env=environment)
        for n in range(3)
    ]
    capture.begin()
    assert [child.wait(120) for child in children] == [0, 0, 0]
    capture.finish()
    found = entries(log)
    for n in range(3):
        mine = [int(e["message"].split()[0]) for e in found if e.get("process") == f"w{n}"]
        assert mine == list(range(150))
    assert len(found) == 450
    assert all("ValueError" in e["exception"] for e in found if len(e["message"]) < 500)

"""Lines of our own: their form, the ids they carry, and how files of them are read."""

import asyncio
import json
import logging
import threading
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fx_serving.cli import app
from fx_serving.client import log_reader, logs
from fx_serving.client.log_files import ONE_WRITE, RotatingFile, Scrubber, line
from fx_serving.client.log_reader import Wanted

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def record(message: str = "said", level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "fx.test", "levelno": level, "levelname": "INFO", "msg": message, **extra})


def written(entry: logging.LogRecord) -> dict:
    return json.loads(logs.JsonFormatter(Scrubber({})).format(entry))


def test_a_line_has_its_time_level_logger_and_words():
    made = written(record("said", created=AT.timestamp()))
    assert made["ts"] == "2026-11-20T12:00:00.000000Z"
    assert (made["level"], made["logger"], made["message"]) == ("info", "fx.test", "said")
    assert not made.keys() & set(logs.IDS)


def test_ids_come_from_the_context_and_the_record_goes_first():
    with logs.log_context(run_id="r1", partition="2026-11-20"):
        with logs.log_context(run_id=None, rollout_id="o1"):
            inside = written(record(rollout_id="o2"))
        after = written(record())
    assert (inside["run_id"], inside["partition"], inside["rollout_id"]) == ("r1", "2026-11-20", "o2")
    assert "rollout_id" not in after
    assert "run_id" not in written(record())


def test_tasks_keep_their_context_apart_and_threads_begin_without():
    seen: dict[str, str | None] = {}

    async def work(name: str) -> None:
        with logs.log_context(rollout_id=name):
            await asyncio.sleep(0)
            seen[name] = written(record())["rollout_id"]
            seen[f"{name} in a thread"] = await asyncio.to_thread(lambda: written(record())["rollout_id"])

    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    asyncio.run(both())
    assert seen == {"a": "a", "b": "b", "a in a thread": "a", "b in a thread": "b"}
    with logs.log_context(rollout_id="a"):
        thread = threading.Thread(target=lambda: seen.update(plain=written(record()).get("rollout_id")))
        thread.start()
        thread.join()
    assert seen["plain"] is None


@given(st.text(max_size=9000), st.text(max_size=9000))
def test_every_line_is_whole_json_that_a_pipe_takes_in_one_piece(message, trace):
    entry = {"ts": "t", "level": "info", "logger": "x", "message": message, "exception": trace}
    encoded = logs.JsonFormatter(Scrubber({})).line(entry)
    assert len(encoded) < ONE_WRITE
    assert b"\n" not in encoded
    found = msgspec.json.decode(encoded)
    if len(message) + len(trace) < 500:
        assert (found["message"], found["exception"]) == (message, trace)


@pytest.mark.parametrize(
    ("given", "valid"),
    [("3f2a-9C", True), ("a" * 64, True), ("a" * 65, False), ("", False), (None, False), ("a\n", False), ("é", False)],
)
def test_run_ids(given, valid):
    assert logs.valid_run_id(given) == (given if valid else None)


@pytest.fixture
def home(tmp_path):
    """Two logs whose lines alternate, one of them rotated."""
    clock = AT
    files = {
        n: RotatingFile(tmp_path / "logs" / f"{n}.log", days=10_000, clock=lambda: AT) for n in ("serving", "runs")
    }

    def put(name: str, text: str, level: str = "info", **ids: str) -> None:
        nonlocal clock
        entry = json.loads(line(clock, level, name, text)) | ids
        files[name].write(json.dumps(entry).encode() + b"\n")
        clock += timedelta(minutes=1)

    for number in range(4):
        put("serving", f"s{number}", rollout_id=f"o{number % 2}")
        put("runs", f"r{number}", "warning" if number == 2 else "info", run_id=f"run-{number}")
    (tmp_path / "logs" / "serving.log").rename(tmp_path / "logs" / "serving.log.2026-11-20")
    put("serving", "s4", "error")
    (tmp_path / "logs" / "old.log").write_text("not a line of JSON\n")
    return tmp_path


def shown(home, *options: str) -> list[str]:
    result = CliRunner().invoke(app, ["logs", "--since", "2026-11-20", "--json", "--home", str(home), *options])
    assert result.exit_code == 0, result.output
    return [json.loads(found)["message"] for found in result.stdout.splitlines()]


def test_fx_logs_merges_by_time_and_filters(home):
    assert shown(home) == ["s0", "r0", "s1", "r1", "s2", "r2", "s3", "r3", "s4"]
    assert shown(home, "serving") == ["s0", "s1", "s2", "s3", "s4"]
    assert shown(home, "--level", "warning") == ["r2", "s4"]
    assert shown(home, "--run", "run-3") == ["r3"]
    assert shown(home, "--rollout", "o1") == ["s1", "s3"]
    assert shown(home, "--since", "2026-11-20T12:06:00Z") == ["s3", "r3", "s4"]
    assert shown(home, "--prediction", "none") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["nothing"], "There are: old, runs, serving"),
        (["--since", "yesterday"], "30m, 6h, 2d"),
        (["--since", "-"], "30m, 6h, 2d"),
        (["--level", "loud"], "debug, info"),
    ],
)
def test_fx_logs_says_what_it_does_not_understand(home, options, said):
    result = CliRunner().invoke(app, ["logs", "--home", str(home), *options], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert said in result.output


def test_fx_logs_says_where_nothing_fits_what_else_to_try(home):
    options = ["logs", "--home", str(home), "--since", "2026-11-20", "--level", "critical"]
    assert "no line fits since 2026-11-20: a longer --since" in CliRunner().invoke(app, options).stderr
    assert "`fx trace 388a` tells" in CliRunner().invoke(app, [*options, "--prediction", "388a"]).stderr


def test_fx_logs_without_logs_says_where_they_would_be(tmp_path):
    result = CliRunner().invoke(app, ["logs", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "fx up" in result.output


def test_following_sees_what_is_written_across_a_rotation(tmp_path):
    log, clock = tmp_path / "a.log", AT
    file = RotatingFile(log, clock=lambda: clock)
    file.write(line(AT, "info", "t", "before"))
    steps = iter(["same day", "next day", "again"])

    def wait() -> None:
        nonlocal clock
        text = next(steps)
        if text == "next day":
            clock += timedelta(days=1)
        file.write(line(clock, "info", "t", text))

    found = log_reader.follow(tmp_path, ("a",), Wanted(), wait)
    assert [next(found)["message"] for _ in range(4)] == ["before", "same day", "next day", "again"]

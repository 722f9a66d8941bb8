"""Restarting what may fail: waits that grow, what is told, when it is left alone. Real children, a test's clock."""

import signal
import sys
from pathlib import Path

import pytest

from fx_assets.stack.process import Process
from fx_assets.stack.supervised import FIRST_WAIT_S, LONGEST_WAIT_S, WELL_AFTER_S, Supervised


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def starter(tmp_path: Path, code: str):
    """A function that starts a child running `code`, and the children it has started."""
    children: list[Process] = []

    def start() -> Process:
        children.append(Process("stream", [sys.executable, "-c", code], {}, tmp_path / "stream.log", tmp_path))
        return children[-1]

    return start, children


def test_a_failing_process_is_started_again_after_waits_that_double(tmp_path, clock):
    start, children = starter(tmp_path, "import sys; sys.exit(1)")
    kept, waits = Supervised(start, {3}, clock), []
    for _ in range(8):
        children[-1].child.wait()
        told = kept.check()
        assert told is not None
        assert "stream ended with code 1 and is started again in" in told
        waits.append(float(told.split(" in ")[1].split(" s")[0]))
        assert kept.check() is None  # still waiting
        clock.time += waits[-1]
        assert kept.check() is None
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert (waits[0], waits[-1]) == (FIRST_WAIT_S, LONGEST_WAIT_S)
    assert kept.restarts == len(children) - 1 == 8
    kept.stop()


def test_after_a_good_while_the_waits_start_again(tmp_path, clock):
    start, children = starter(tmp_path, "import time; time.sleep(60)")
    kept = Supervised(start, clock=clock)
    for _ in range(3):
        assert kept.check() is None
        clock.time += WELL_AFTER_S + 1
        children[-1].child.kill()
        children[-1].child.wait()
        assert f"in {FIRST_WAIT_S:g} s" in str(kept.check())
        clock.time += FIRST_WAIT_S
        kept.check()
    kept.stop()
    assert children[-1].child.returncode == -signal.SIGTERM
    assert kept.check() is None or kept.restarts == 3


def test_a_refusal_is_told_with_its_words_and_left_alone(tmp_path, clock):
    start, children = starter(tmp_path, "import sys; print('the token is wrong'); sys.exit(3)")
    kept = Supervised(start, {3}, clock)
    children[-1].child.wait()
    told = kept.check()
    assert told is not None
    assert told.startswith("stream is off:\nthe token is wrong")
    clock.time += 3600
    assert kept.check() is None
    assert len(children) == 1
    kept.stop()

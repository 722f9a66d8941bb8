"""The practice account's file: what it makes of the environment of a home's processes, and for how long."""

import os
import subprocess
import sys

import msgspec
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.errors import FxError
from fx_assets.stack.environment import environment, use_replay_clock
from fx_assets.stack.practice import running_practice

NAMES = ("FX_CLOCK", "OANDA_TOKEN", "OANDA_ACCOUNT")
CLOCK = "2022-01-12T15:00:00Z@2026-11-21T10:00:00Z"


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what a test sets is undone
        monkeypatch.delenv(name)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    write(tmp_path)
    return tmp_path


def write(folder, **changes):
    address = {"url": "http://127.0.0.1:1", "stream_url": "http://127.0.0.1:1", "account": "101", "token": "t0ken"}
    address |= {"clock": CLOCK, "pid": os.getpid(), **changes}
    (folder / "practice.json").write_bytes(msgspec.json.encode(address))


def test_every_process_gets_account_and_clock_while_the_server_runs(home):
    found = environment(home, load_configuration())
    assert {name: found[name] for name in NAMES} == dict(zip(NAMES, (CLOCK, "t0ken", "101"), strict=True))
    use_replay_clock(load_configuration())
    assert os.environ["FX_CLOCK"] == CLOCK


def test_what_the_user_has_set_wins(home, monkeypatch):
    monkeypatch.setenv("OANDA_TOKEN", "mine")
    monkeypatch.setenv("FX_CLOCK", "2022-02-01T10:00:00Z")
    found = environment(home, load_configuration())
    assert (found["OANDA_TOKEN"], found["OANDA_ACCOUNT"], found["FX_CLOCK"]) == ("mine", "101", "2022-02-01T10:00:00Z")


def test_a_server_that_has_ended_is_not_there(home):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    write(home, pid=child.pid)
    assert running_practice(home) is None
    found = environment(home, load_configuration())
    assert "OANDA_TOKEN" not in found
    assert found["FX_CLOCK"] == "2022-03-04T22:00:00Z"  # the sample's end, as without a practice account


def test_no_file_no_account(tmp_path):
    assert running_practice(tmp_path) is None


def test_a_practice_account_on_the_wall_clock_sets_none(home):
    write(home, clock=None)
    assert "FX_CLOCK" not in environment(home, load_configuration())


def test_a_damaged_file_is_named_and_the_token_is_never_shown(home):
    assert "t0ken" not in repr(running_practice(home))
    (home / "practice.json").write_text("{")
    with pytest.raises(FxError, match=r"practice\.json: .*Remove it, and start fx practice again"):
        running_practice(home)

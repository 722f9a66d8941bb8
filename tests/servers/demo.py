"""One finished demo, and one platform running on a copy of it, for all tests of the demo group.

The demo takes minutes: it is run once, however many modules and test processes ask for it; the others wait for its
end. The running platform is one for each test process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
import yaml
from filelock import FileLock

from fx_serving.client.home import Stores
from tests.servers.platform import FX, ROOT, Platform, command_of, environment, start_platform
from tests.servers.serving import wait_until

MODEL, REJECTED = "move_60m", "direction_60m"
DEMO_S = 600
#: What runs a process of this size for minutes must not be repeated while one works on these tests.
FINISHED = "FX_TEST_DEMO"

_demo_key = pytest.StashKey["Demo"]()
_platform_key = pytest.StashKey[Platform]()


@dataclass(frozen=True)
class Demo:
    """What `fx demo` left: its home, exit code and output, the processes that outlived it, its wall time."""

    home: Path
    code: int
    output: str
    left: list[str]
    seconds: float

    @property
    def stores(self) -> Stores:
        return Stores(self.home)

    @property
    def summary(self) -> dict[str, Any]:
        return json.loads((self.home / "demo" / "summary.json").read_bytes())


def in_memory(home: Path) -> Path:
    """Where the running demo of a home keeps its event store; a path that is not there without shared memory.

    OSError until that is decided.
    """
    settings = yaml.safe_load((home / "dagster" / "dagster.yaml").read_text()) or {}
    return Path(settings.get("storage", {}).get("sqlite", {}).get("base_dir", home / "no-shared-memory"))


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process of this user that works on a home."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            given = process.environ().get("FX_HOME")
            if given == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def finished_demo(config: pytest.Config, factory: pytest.TempPathFactory) -> Demo:
    """The demo of this test process, run when the first test asks for it."""
    if _demo_key not in config.stash:
        given = os.environ.get(FINISHED)
        if given and os.environ.get("FX_REQUIRE_ALL") != "1":
            config.stash[_demo_key] = Demo(Path(given), 0, "", [], 0.0)
        else:
            config.stash[_demo_key] = _once(factory)
    return config.stash[_demo_key]


def _once(factory: pytest.TempPathFactory) -> Demo:
    """Run by the first test process that comes here; its result is read by the others."""
    base = factory.getbasetemp()
    # Under xdist each process has a folder of its own below the run's.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    result = shared / "demo.json"
    with FileLock(shared / "demo.lock"):
        if not result.exists():
            result.write_bytes(msgspec.json.encode(_run(shared / "demo" / "home"), enc_hook=str))
    return msgspec.json.decode(result.read_bytes(), type=Demo, dec_hook=lambda kind, text: kind(text))


def _run(home: Path) -> Demo:
    home.parent.mkdir(exist_ok=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [*FX, "demo", "--home", str(home)],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    memory = None
    try:
        memory = wait_until(lambda: process.poll() is not None or in_memory(home))
        output, _ = process.communicate(timeout=DEMO_S)
    except (subprocess.TimeoutExpired, AssertionError) as error:  # one failed demo for all tests, not one for each
        process.terminate()
        output, _ = process.communicate(timeout=120)
        output += f"\n{error}"
    except BaseException:  # Ctrl-C, or the time limit of the test
        process.terminate()
        process.communicate(timeout=120)
        raise
    seconds = time.monotonic() - started
    left = [f"{p.pid} {command_of(p)[:120]}" for p in processes_of(home)]
    if isinstance(memory, Path) and memory.exists():
        left.append(str(memory))
    return Demo(home, process.returncode, output, left, seconds)


def running_platform(config: pytest.Config, factory: pytest.TempPathFactory) -> Platform:
    """`fx up` on a copy of the demo's home, started when the first test asks for it, stopped with the session."""
    if _platform_key not in config.stash:
        demo = finished_demo(config, factory)
        assert demo.code == 0, demo.output[-3000:]
        stack = contextlib.ExitStack()
        config.add_cleanup(stack.close)
        config.stash[_platform_key] = stack.enter_context(start_platform(copy_of(demo, factory.mktemp("up") / "home")))
    return config.stash[_platform_key]


def copy_of(demo: Demo, target: Path) -> Path:
    """A copy of the demo's home, so that what is done to it is not seen by other tests."""
    shutil.copytree(demo.home, target, ignore=shutil.ignore_patterns("address.json", "controller.json"))
    return target

"""What tests ask of the Docker engine about the containers of a composed platform, and how they kill them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from random import Random
from typing import Any

PROJECT = "fx"
#: Until a container that was killed is well again; a busy machine takes minutes for what takes seconds.
AGAIN_S = 300


def docker(*arguments: str, check: bool = True) -> str:
    """The output of a docker command."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}\n{done.stderr[-2000:]}"
    return done.stdout


def services() -> dict[str, dict[str, Any]]:
    """What the engine says of each container of the platform, by service; those of runs are not among them."""
    ids = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}").split()
    found = json.loads(docker("inspect", *ids)) if ids else []
    return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}


def runs() -> list[dict[str, Any]]:
    """The containers of runs."""
    ids = docker("ps", "-q", "--filter", f"label=fx.platform={PROJECT}").split()
    done = subprocess.run(["docker", "inspect", *ids], capture_output=True, text=True, check=False)  # some may be gone
    return json.loads(done.stdout or "[]") if ids else []


def left() -> str:
    """Containers, networks and volumes of the platform that there are."""
    label = f"label=com.docker.compose.project={PROJECT}"
    return (
        docker("ps", "-aq", "--filter", label)
        + docker("ps", "-aq", "--filter", f"label=fx.platform={PROJECT}")
        + docker("network", "ls", "-q", "--filter", label)
        + docker("volume", "ls", "-q", "--filter", label)
    )


def kill(container: dict[str, Any]) -> None:
    """kill -9 of its first process, as the kernel does without memory: `docker kill` is an order to stay away."""
    os.kill(container["State"]["Pid"], signal.SIGKILL)


def is_well(container: dict[str, Any]) -> bool:
    """Whether it runs, and is healthy where it can say so."""
    state = container["State"]
    return state["Running"] and state.get("Health", {}).get("Status", "healthy") == "healthy"


def wait_until_well(name: str, restarts: int) -> None:
    """Wait until a service has been started more than `restarts` times and is well."""
    deadline = time.monotonic() + AGAIN_S
    while True:
        found = services()[name]
        if found["RestartCount"] > restarts and is_well(found):
            return
        assert time.monotonic() < deadline, f"{name}: {found['State']}"
        time.sleep(0.5)


class Killer:
    """Kills one container after another, each once the one before is well again, until it is stopped.

    Every service has its turn, in an order and at moments of `seed`; a run's container has one turn.
    """

    def __init__(self, seed: int, pause_s: float):
        self.killed: list[str] = []
        self.failure: BaseException | None = None
        self._random, self._pause_s = Random(seed), pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            while not self._stop.is_set():
                names = sorted(name for name, one in services().items() if one["State"]["Running"])
                self._random.shuffle(names)
                for name in names:
                    if self._stop.wait(self._random.uniform(0, self._pause_s)):
                        return
                    self._one(name)
        except BaseException as error:  # told by whoever looks at it
            self.failure = error

    def _one(self, name: str) -> None:
        found = services()[name]
        kill(found)
        self.killed.append(name)
        wait_until_well(name, found["RestartCount"])
        if "run" not in self.killed and len(self.killed) > 3 and (running := runs()):
            kill(running[0])
            self.killed.append("run")

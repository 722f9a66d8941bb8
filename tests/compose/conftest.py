"""A platform in containers, brought up as a user does: `make up`, on a real Docker engine, and `make down`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compose.engine import docker, left
from tests.servers.platform import FX, ROOT
from tests.servers.redis import free_port


@dataclass(frozen=True)
class Composed:
    """A platform that is up. folder: what lasts of it. environment: of commands that use it."""

    folder: Path
    environment: dict[str, str]

    def fx(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The result of an fx command; both outputs in stdout."""
        return self._run(*FX, *arguments)

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        """The result of a make target."""
        return self._run("make", target)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def images(program: Callable[[str, str], str]) -> None:
    """The images of these sources. Skips without an engine."""
    program("docker", "docker.io")
    if "Server:" not in docker("version", check=False):
        pytest.skip("no Docker engine answers. On Debian or Ubuntu: sudo apt install docker.io")
    done = subprocess.run(["make", "images"], cwd=ROOT, check=False, text=True, stdout=-1, stderr=-2)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.fixture(scope="module")
def composed(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    assert not left(), "a composed platform is there already. Run make down first."
    folder = tmp_path_factory.mktemp("composed")
    environment = os.environ | {
        "FX_COMPOSE_FOLDER": str(folder),
        "FX_COMPOSE_TEST": "1",
        "FX_UI_PORT": str(free_port()),
        "FX_PREDICTIONS_PORT": str(free_port()),
    }
    made = Composed(folder, environment)
    try:
        done = made.make("up")
        assert done.returncode == 0, done.stdout[-4000:]
        yield made
    finally:
        made.make("down")

"""Images built by a real Docker engine, and containers of them that are removed afterwards."""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.platform import ROOT

DOCKERFILE = ROOT / "deploy" / "images" / "Dockerfile"
#: As a host would run one that it does not trust: nothing but /fx and /tmp can be written, no privilege is left.
HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def docker(*arguments: str | Path, check: bool = True) -> str:
    """Both outputs of a docker command."""
    command = ["docker", *(str(argument) for argument in arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0 or not check, f"{' '.join(command)}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def engine(program: Callable[[str, str], str]) -> None:
    """Skips where no Docker engine answers."""
    program("docker", "docker.io")
    if "Server:" not in docker("version", check=False):
        pytest.skip("no Docker engine answers. On Debian or Ubuntu: sudo apt install docker.io")


@pytest.fixture(scope="session")
def serving(engine: None) -> str:
    """The image of the deployment service, built of this checkout."""
    name = "fx-serving:test"
    docker("build", "--network", "host", "-f", DOCKERFILE, "--target", "serving", "-t", name, ".")
    return name


@pytest.fixture
def container(engine: None) -> Iterator[Callable[..., str]]:
    """container(image, *options, command=()) -> name of a hardened container that was started; removed at the end."""
    names: list[str] = []

    def start(image: str, *options: str, command: tuple[str, ...] = ()) -> str:
        names.append(f"fx-test-{uuid.uuid4().hex[:12]}")
        docker("run", "--detach", "--name", names[-1], *HARDENED, *options, image, *command)
        return names[-1]

    yield start
    for name in names:
        docker("rm", "--force", "--volumes", name, check=False)

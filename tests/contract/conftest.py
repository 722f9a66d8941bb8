"""The stores that the contract is held against, real ones: a folder, S3 through a server that speaks its protocol, and
a small disk that can be filled or made read-only.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fx_assets.storage import Store, open_store
from tests.servers.s3 import s3_server

BACKENDS = ("folder", "s3")


@pytest.fixture(scope="session")
def s3() -> Iterator[Callable[[], str]]:
    """s3() -> URL of a new bucket on an S3 server of this test run; the environment points at it meanwhile."""
    with s3_server() as bucket:
        yield bucket


@pytest.fixture(params=BACKENDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new, empty store is: each kind of store in turn."""
    if request.param == "folder":
        return str(tmp_path / "store")
    return request.getfixturevalue("s3")() + "/below/a/prefix"


@pytest.fixture
def store(where: str) -> Store:
    """The store at `where`."""
    return open_store(where)


@dataclass(frozen=True)
class SmallDisk:
    """A file system of a few MB of its own."""

    folder: Path

    def fill(self, leave: int = 0) -> None:
        """Take all space but `leave` bytes."""
        free = os.statvfs(self.folder)
        with (self.folder / "ballast").open("wb") as file:
            file.write(b"\0" * max(0, free.f_bavail * free.f_bsize - leave))

    def empty(self) -> None:
        """Give the space back."""
        (self.folder / "ballast").unlink()

    def read_only(self, on: bool) -> None:
        """Make it read-only (for root too), or writable again."""
        subprocess.run(["mount", "-o", f"remount,{'ro' if on else 'rw'}", self.folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path, program: Callable[[str, str], str]) -> Iterator[SmallDisk]:
    """A disk of 24 MB in memory. Skips where nothing may be mounted."""
    mount = program("mount", "mount")
    folder = tmp_path / "disk"
    folder.mkdir()
    command = [mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here. Run: unshare --user --mount --map-root-user pytest ...")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)

"""Places for backups, real ones: a folder, and S3 through a server that speaks its protocol."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fx_assets.backup.homes import small_home
from tests.servers.s3 import s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[Callable[[], str]]:
    with s3_server() as bucket:
        yield bucket


@pytest.fixture(params=["folder", "s3"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where there is no backup yet: each kind of store in turn."""
    return str(tmp_path / "backups") if request.param == "folder" else request.getfixturevalue("s3")() + "/fx"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return small_home(tmp_path / "home")

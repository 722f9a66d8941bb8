"""A small platform with half a year of history, made once for the tests that need trained models or features."""

import os
import shutil
from collections.abc import Iterator

import dagster as dg
import pytest
from filelock import FileLock

from tests.fx_assets.small import BRONZE, TABLES, Platform, configuration_of, write_config


@pytest.fixture(scope="session")
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture(scope="session")
def history(tmp_path_factory, instance) -> Platform:
    """Two instruments, 131 sessions, every silver and gold table, and the feature registry."""
    with pytest.MonkeyPatch.context() as patch:
        configuration = configuration_of(write_config(tmp_path_factory.mktemp("config")), patch)
    # Test processes that run side by side share one making of the tables, and copy them.
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent / "history" if "PYTEST_XDIST_WORKER" in os.environ else shared / "history"
    with FileLock(f"{shared}.lock"):
        if not (shared / "made").is_file():
            Platform(shared, configuration, instance).run([*BRONZE, *TABLES], "2020-10-01", "2021-04-01")
            (shared / "made").touch()
    platform = Platform(tmp_path_factory.mktemp("home"), configuration, instance)
    shutil.copytree(shared / "lake", platform.home / "lake")
    platform.run(["feature_registry"])
    return platform

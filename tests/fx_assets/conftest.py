"""A small platform with half a year of history, made once for the tests that need trained models or features."""

import os
import shutil
from collections.abc import Iterator

import dagster as dg
import pytest
from filelock import FileLock

from fx_assets.automation.retraining import TRAINING_STEPS
from tests.fx_assets.small import BRONZE, TABLES, Platform, configuration_of, write_config

WALKED = ("2021-03-15", "2021-03-22")


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


@pytest.fixture(scope="session")
def walked(history, instance, tmp_path_factory) -> Platform:
    """A home of its own in which the model was trained, judged, promoted and exported for two sessions a week apart.

    Tests that change files of it put them back.
    """
    home = tmp_path_factory.mktemp("walked")
    shutil.copytree(history.home / "lake", home / "lake")
    platform = Platform(home, history.configuration, instance)
    platform.run(["feature_registry"])
    for session in WALKED:
        platform.run([f"move/{step}" for step in TRAINING_STEPS], session)
    return platform

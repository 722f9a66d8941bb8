"""Shared by the service's tests: one running service, with features published and version 1 deployed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fx_serving.client.home import Stores
from tests.servers.serving import Service, booster, make_bundle, publish_features, start_service, wait_until


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """The stores of an empty home."""
    return Stores(tmp_path)


@pytest.fixture(scope="session")
def trained():
    """The booster behind version 1."""
    return booster(1)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, trained) -> Iterator[Service]:
    """A service with one worker and version 1 of move_60m deployed.

    All modules share it (a start costs seconds): tests leave the deployed version and the features as they found them.
    """
    home = tmp_path_factory.mktemp("home")
    stores = Stores(home)
    publish_features(stores)
    make_bundle(stores, "1", trained=trained)
    with start_service(home) as started:
        started.deploy("1")
        yield started


@pytest.fixture
def service(running: Service) -> Service:
    """The shared service, once its worker has left the candidate of an earlier test behind."""
    wait_until(lambda: running.sidecar_pids() == [])
    return running

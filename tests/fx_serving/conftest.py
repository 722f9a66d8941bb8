"""Shared by the service's tests: one running service, with features published and version 1 deployed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fx_serving.client.home import Stores
from fx_serving.routing import GreenRoute, ModelRoute
from tests.servers.plane import Plane, start_plane
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


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory, trained) -> Iterator[Plane]:
    """One worker without a controller: version 1 of move_60m (with its native model) and of dir_60m are blue."""
    home = tmp_path_factory.mktemp("plane")
    stores = Stores(home)
    publish_features(stores)
    make_bundle(stores, "1", trained=trained, native=True)
    make_bundle(stores, "2")
    make_bundle(stores, "1", model="dir_60m", kind="direction")
    make_bundle(stores, "2", model="dir_60m", kind="direction")
    with start_plane(home, {"sidecar": {"deadline_ms": 2000}}) as started:
        yield started


@pytest.fixture
def plane(alone: Plane) -> Plane:
    """That worker, with no candidate."""
    if any(model.green for model in alone.table.models.values()) or len(alone.table.models) != 2:
        alone.route(move_60m=ModelRoute(blue="1"), dir_60m=ModelRoute(blue="1"))
    return alone


@pytest.fixture
def rolling(plane: Plane) -> Plane:
    """That worker, with version 2 of move_60m as a candidate without traffic."""
    green = GreenRoute(version="2", weight=0, rollout_id="r")
    plane.route(move_60m=ModelRoute(blue="1", green=green), dir_60m=ModelRoute(blue="1"))
    return plane

"""One running service for the hostile tests, with a version deployed and small limits; it must outlive all of them."""

from collections.abc import Iterator

import pytest

from tests.servers.serving import Service, make_bundle, publish_features, start_service

LIMITS = {"body_timeout_s": 0.5, "drain_s": 0.5}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker, version 1 of move_60m deployed."""
    home = tmp_path_factory.mktemp("hostile")
    with start_service(home, settings={"limits": LIMITS}) as started:
        publish_features(started.stores)
        make_bundle(started.stores, "1")
        started.deploy("1")
        yield started


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """The same; afterwards the same processes run, and a plain question is answered."""
    before = running.worker_pids(), running.controller_pid()
    yield running
    assert (running.worker_pids(), running.controller_pid()) == before, "no process may die of a request"
    assert running.client.predict("GBP_USD")["slot"] == "blue"

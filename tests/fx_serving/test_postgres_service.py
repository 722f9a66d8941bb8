"""The whole service on PostgreSQL: rollouts, audit trail and prediction log are in it; and an outage of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from fx_serving.client import rollout_log
from fx_serving.client.audit_chain import read_head
from fx_serving.client.prediction_db import PredictionLogError, reading
from fx_serving.client.prediction_log import find, read_feedback, read_predictions
from tests.servers.postgres import PASSWORD, PostgresServer, restartable_postgres
from tests.servers.serving import Service, Traffic, make_bundle, publish_features, start_service, wait_until

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(program) -> Iterator[PostgresServer]:
    """A PostgreSQL of this file's own."""
    with restartable_postgres(program) as server:
        yield server


@pytest.fixture
def service(server, tmp_path, monkeypatch) -> Iterator[Service]:
    """A service whose state and predictions are there, with version 1 deployed."""
    monkeypatch.setenv("FX_STATE_URL", server.url)
    settings = {"log": {"ingest_every_s": 0.1}}
    with start_service(tmp_path, settings=settings, environment={"FX_STATE_URL": server.url}) as service:
        publish_features(service.stores)
        make_bundle(service.stores, "1")
        service.deploy("1")
        yield service


def ingested(service: Service) -> set[str]:
    """The ids in the database."""
    try:
        with reading(service.stores.predictions) as database:
            return set() if database is None else {id for (id,) in database.ask("SELECT id FROM predictions")}
    except PredictionLogError:
        return set()


def test_everything_is_kept_there_and_an_outage_costs_no_answer(service, server):
    stores = service.stores
    assert rollout_log.deployed(stores.state) == {"move_60m": "1"}
    assert not stores.state_db.exists()
    before = service.client.predict("GBP_USD")
    wait_until(lambda: before["prediction_id"] in ingested(service))
    assert not stores.predictions_db.exists()
    told = service.client.feedback(before["prediction_id"], realized_direction=1)
    assert (told["status"], told["matched"]) == ("recorded", 1)

    with Traffic(service.url, threads=2, pause_s=0.01) as traffic:
        server.stop(signal.SIGQUIT)
        try:
            asked = len(traffic.answers)
            wait_until(lambda: len(traffic.answers) > asked + 50)
            with pytest.raises(PredictionLogError):
                find(stores.predictions, before["prediction_id"])
        finally:
            server.start()
        wait_until(lambda: {a["prediction_id"] for a in list(traffic.answers)[: asked + 50]} <= ingested(service))
    assert not traffic.failures
    assert all(answer["slot"] == "blue" for answer in traffic.answers)

    make_bundle(stores, "2")
    with Traffic(service.url) as canaries:  # without requests no rollout advances
        service.deploy("2", timeout_s=60)
    assert not canaries.failures
    assert rollout_log.deployed(stores.state) == {"move_60m": "2"}
    verdict = rollout_log.verify_audit(stores.state, read_head(stores.audit_head))
    assert (verdict.whole, verdict.head_checked) == (True, True), verdict
    ids = {answer["prediction_id"] for answer in traffic.answers + canaries.answers} | {before["prediction_id"]}
    wait_until(lambda: ids <= ingested(service))
    logged = [record.prediction_id for record in read_predictions(stores.predictions)]
    assert len(logged) == len(set(logged))
    assert told["feedback_id"] in {record.feedback_id for record in read_feedback(stores.predictions)}
    assert PASSWORD not in (service.home / "serve.log").read_text()
    assert not [path for path in stores.serving.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]

"""Forecasts from a real deployment service: of exactly this bar, or none, with the reason."""

from datetime import timedelta

import pytest

from fx_assets.configuration import load_configuration
from fx_monitoring.deployed import deployed_models
from fx_monitoring.trading.forecasts import NoForecast, Service, request_id
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient
from fx_serving.client.prediction_log import read_predictions
from tests.servers.serving import CLOCK, make_bundle, publish_features, start_service, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    clock = (CLOCK + timedelta(minutes=2)).isoformat()
    with start_service(tmp_path_factory.mktemp("serving"), clock=clock) as running:
        publish_features(running.stores)
        running.deploy(make_bundle(running.stores, "1"))
        wait_until(lambda: running.client.predict("GBP_USD"))
        yield running


def test_the_answer_is_of_the_bar_and_logged_once(service):
    ask = Service(service.client)
    first, again = ask("move_60m", "GBP_USD", CLOCK), ask("move_60m", "GBP_USD", CLOCK)
    assert first == again
    assert (first.source, first.version, first.move) == ("service", "1", None)
    assert first.prediction_id == request_id("move_60m", "GBP_USD", CLOCK)
    mine = wait_until(
        lambda: [r for r in read_predictions(service.stores.predictions) if r.prediction_id == first.prediction_id]
    )
    assert [(r.timestamp, r.prediction) for r in mine] == [(CLOCK, first.prediction)]


def test_only_what_is_deployed_is_traded_and_judged(service, tmp_path):
    """direction_60m is meant to be deployed too, and has no version that was good enough."""
    configuration = load_configuration()
    assert deployed_models(service.stores, configuration) == ["move_60m"]
    assert deployed_models(Stores(tmp_path), configuration) == ["move_60m", "direction_60m"]
    (tmp_path / "serving").mkdir()
    (tmp_path / "serving" / "state.db").write_bytes(b"x" * 1000)
    assert deployed_models(Stores(tmp_path), configuration) == ["move_60m", "direction_60m"]


def test_features_of_an_earlier_bar_are_stale(service):
    bar = CLOCK + timedelta(minutes=1)
    with pytest.raises(NoForecast, match=r"stale features: the newest are of 2022-03-04T22:00:00Z, and the bar closed"):
        Service(service.client)("move_60m", "GBP_USD", bar)


def test_a_refusal_is_told_in_the_services_words(service):
    with pytest.raises(NoForecast, match=r"the service refuses \(HTTP 4\d\d\): .*no_such"):
        Service(service.client)("no_such", "GBP_USD", CLOCK)


def test_a_service_that_is_not_there_is_asked_once():
    with ServingClient("http://127.0.0.1:9", timeout_s=2) as client:
        ask = Service(client)
        for _ in range(2):
            with pytest.raises(NoForecast, match="no answer from the prediction service"):
                ask("move_60m", "GBP_USD", CLOCK)
        assert client.resets == 2, "one question and its repetition"

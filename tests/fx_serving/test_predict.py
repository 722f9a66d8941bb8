"""What POST /predict answers when all is well."""

from datetime import timedelta

import httpx
import numpy as np
import pytest
import xgboost

from fx_serving.client.clock import to_iso
from fx_serving.client.http import ServiceError
from fx_serving.client.prediction_log import read_predictions
from fx_serving.dataplane.bundles import load_bundle
from tests.servers.serving import CLOCK, MARKET, NAMES, make_bundle, publish_features, wait_until


def of_booster(trained, values: list[float]) -> float:
    return float(trained.predict(xgboost.DMatrix(np.array([values], dtype=np.float32)))[0])


def test_answers_are_the_boosters(service, trained):
    rng = np.random.default_rng(3)
    for _ in range(30):
        values = rng.normal(size=len(NAMES)).tolist()
        answer = service.client.predict("GBP_USD", features=dict(zip(NAMES, values, strict=True)))
        assert answer["prediction"] == pytest.approx(of_booster(trained, values), abs=1e-6)
        assert answer["label"] == ("move" if answer["prediction"] >= 0.5 else "quiet")
        assert answer["confidence"] == max(answer["prediction"], 1 - answer["prediction"])
        assert answer["feature_time"] is None
        assert answer["feature_age_s"] is None


def test_features_come_from_the_store_and_can_be_overridden_one_by_one(service, trained):
    plain = service.client.predict("GBP_USD")
    assert list(plain["features_used"]) == NAMES
    assert plain["features_used"]["atr_14"] == pytest.approx(0.2)
    assert plain["feature_time"] == to_iso(CLOCK)
    assert plain["feature_age_s"] == 0
    assert (plain["model"], plain["model_version"], plain["slot"]) == ("move_60m", "1", "blue")
    other = service.client.predict("GBP_USD", features={"atr_14": 7})
    assert other["features_used"] == plain["features_used"] | {"atr_14": 7.0}
    values = list(other["features_used"].values())
    assert other["prediction"] == pytest.approx(of_booster(trained, values), abs=1e-6)


def test_as_of_an_earlier_time_takes_the_row_known_then(service):
    then = CLOCK - timedelta(hours=1, minutes=30)
    answer = service.client.predict("GBP_USD", timestamp=then)
    assert answer["timestamp"] == to_iso(then)
    assert answer["feature_time"] == to_iso(CLOCK - timedelta(hours=2))
    assert answer["feature_age_s"] == 1800
    assert answer["features_used"]["rsi_14"] == pytest.approx(0.12)
    exact = service.client.predict("GBP_USD", timestamp="2022-03-04T22:00:00+01:00")
    assert exact["feature_time"] == "2022-03-04T21:00:00Z"


def test_the_same_request_id_has_the_same_answer(service):
    first = service.client.predict("GBP_USD", request_id="once")
    newer = publish_features(service.stores, atr_14=0.9)
    try:
        wait_until(
            lambda: service.client.predict("GBP_USD")["features_used"]["atr_14"] == pytest.approx(newer["atr_14"])
        )
        assert service.client.predict("GBP_USD", request_id="once") == first
        assert first["prediction_id"] == "once"
        with pytest.raises(ServiceError, match="request_id") as error:
            service.client.predict("EUR_USD", request_id="once")
        assert error.value.status == 409
    finally:
        publish_features(service.stores)
        wait_until(lambda: service.client.predict("GBP_USD")["features_used"]["atr_14"] == pytest.approx(0.2))


def test_ids_are_made_up_where_none_is_given(service):
    answers = [httpx.post(f"{service.url}/predict", json={"instrument": "GBP_USD"}).json() for _ in range(2)]
    assert len({a["prediction_id"] for a in answers}) == 2


def test_forced_slots(service):
    assert service.client.predict("GBP_USD", slot="blue")["slot"] == "blue"
    with pytest.raises(ServiceError, match="no candidate") as error:
        service.client.predict("GBP_USD", slot="green")
    assert error.value.status == 404


def test_every_answer_is_in_the_log_as_given(service):
    answer = service.client.predict("EUR_USD", features={"ret_1": 2}, key="desk", request_id="logged")
    found = wait_until(lambda: [r for r in read_predictions(service.stores.predictions) if r.prediction_id == "logged"])
    (record,) = found
    assert record.prediction == answer["prediction"]
    assert record.features == answer["features_used"]
    assert record.overridden == ["ret_1"]
    assert to_iso(record.timestamp) == answer["timestamp"]
    assert (record.instrument, record.model, record.version, record.slot) == (
        "EUR_USD",
        "move_60m",
        "1",
        "blue",
    )
    assert (record.key, record.request_id, record.fell_back, record.rollout_id) == (
        "desk",
        "logged",
        False,
        None,
    )
    assert record.latency_us > 0


def test_a_direction_model_says_up_or_down(service):
    make_bundle(service.stores, "1", model="direction_60m", kind="direction")
    service.deploy("1", model="direction_60m")
    seen = {}
    for value in (-3, 3):
        answer = service.client.predict("GBP_USD", model="direction_60m", features={"rsi_14": value})
        seen[answer["direction"]] = answer["prediction"]
        assert answer["label"] == answer["direction"]
    assert seen["down"] < 0.5 <= seen["up"]
    assert "direction" not in service.client.predict("GBP_USD", model="move_60m")
    assert service.client.predict("GBP_USD")["model"] == "move_60m"


def test_the_native_engine_scores_as_the_booster(stores, trained):
    make_bundle(stores, "1", engine="xgboost", trained=trained)
    bundle = load_bundle(stores.bundles, "move_60m", "1")
    for values in np.random.default_rng(5).normal(size=(10, len(NAMES))).tolist():
        assert bundle.scorer.score(np.array([values], dtype=np.float32)) == pytest.approx(of_booster(trained, values))


def test_inputs_are_matched_by_name_whatever_their_order_in_the_blob(stores, trained):
    make_bundle(stores, "1", trained=trained)
    bundle = load_bundle(stores.bundles, "move_60m", "1")
    assert bundle.columns("market_features", ("ret_1", "other", "rsi_14", "atr_14")).tolist() == [2, 3, 0]  # type: ignore[union-attr]
    assert bundle.columns("market_features", tuple(MARKET[:2])) == "ret_1"

"""Many questions in one request."""

import pytest

from fx_serving.client.prediction_log import read_predictions
from tests.servers.plane import Plane
from tests.servers.serving import NAMES, wait_until


def post(plane: Plane, **body):
    return plane.http.post("/predict", json=body)


def test_each_instrument_is_answered_and_logged_by_itself(plane):
    answer = post(plane, instruments=["EUR_USD", "GBP_USD"]).raise_for_status().json()
    assert answer["answered"] == 2
    assert [one["instrument"] for one in answer["predictions"]] == ["EUR_USD", "GBP_USD"]
    ids = {one["prediction_id"] for one in answer["predictions"]}
    assert len(ids) == 2

    def logged():
        return [r for r in read_predictions(plane.stores.predictions) if r.prediction_id in ids]

    wait_until(lambda: len(logged()) == 2)
    assert {record.route for record in logged()} == {"batch"}


def test_one_of_a_batch_is_the_same_as_asked_alone(plane):
    features = dict.fromkeys(NAMES, 0.25)
    alone = plane.predict("GBP_USD", features=features)
    both = post(plane, requests=[{"instrument": "GBP_USD", "features": features}, {"instrument": "EUR_USD"}]).json()
    same = both["predictions"][0]
    assert {k: v for k, v in same.items() if k != "prediction_id"} == {
        k: v for k, v in alone.items() if k != "prediction_id"
    }


def test_what_is_wrong_is_told_in_its_place_and_the_rest_is_answered(plane):
    questions = [
        {"instrument": "GBP_USD"},
        {"instrument": "XXX_YYY"},
        {"instrument": 5},
        {"instrument": "GBP_USD", "colour": "red"},
        {"instrument": "GBP_USD", "features": {"rsi_14": "high"}},
        {"instrument": "EUR_USD", "model": "other"},
    ]
    answer = post(plane, requests=questions).raise_for_status().json()
    assert answer["answered"] == 1
    told = [one["error"] for one in answer["predictions"][1:]]
    assert [error["status"] for error in told] == [404, 422, 422, 422, 404]
    assert [error["detail"].split(":")[0] for error in told] == [
        "instrument", "instrument", "colour", "features.rsi_14", "model",
    ]  # fmt: skip


def test_a_batch_of_which_nothing_can_be_answered_is_the_first_refusal(plane):
    answer = post(plane, instruments=["XXX", "YYY"])
    assert answer.status_code == 404
    assert "'XXX'" in answer.json()["detail"]


def test_a_batch_sent_again_is_answered_as_before(plane):
    body = {"instruments": ["EUR_USD", "GBP_USD"], "request_id": "batch-7"}
    first, again = post(plane, **body).json(), post(plane, **body).json()
    assert first == again
    assert [one["prediction_id"] for one in first["predictions"]] == ["batch-7:EUR_USD", "batch-7:GBP_USD"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"instruments": []}, 422, "instruments: is empty"),
        ({"requests": []}, 422, "requests: is empty"),
        ({"instruments": "GBP_USD"}, 422, "instruments"),
        ({"requests": {"instrument": "GBP_USD"}}, 422, "requests"),
        ({"instruments": ["GBP_USD"], "colour": 1}, 422, "colour: no such field"),
        ({"instruments": ["GBP_USD"], "requests": []}, 422, "instruments"),
        ({"instruments": ["GBP_USD"] * 1001}, 413, "limits.batch_rows"),
        ({"instruments": ["GBP_USD"], "request_id": "no spaces"}, 422, "request_id"),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole_is_refused_by_field(plane, body, status, words):
    answer = post(plane, **body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_deadline_ends_a_batch_where_it_falls(plane):
    rows = [{"instrument": "GBP_USD"}] * 1000
    answer = plane.http.post("/predict", json={"requests": rows}, headers={"x-fx-deadline-ms": "20"})
    if answer.status_code == 200:  # the first were answered in time
        told = [one["error"]["status"] for one in answer.json()["predictions"] if "error" in one]
        assert set(told) == {504}
    else:
        assert answer.status_code == 504


def test_a_batch_can_ask_one_slot(plane):
    answer = plane.http.post("/predict/blue", json={"instruments": ["GBP_USD"]}).raise_for_status().json()
    assert answer["predictions"][0]["slot"] == "blue"
    assert plane.http.post("/predict/green", json={"instruments": ["GBP_USD"]}).status_code == 404

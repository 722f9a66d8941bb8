"""The Open Inference Protocol, version 2."""

import pytest

from fx_serving.client.prediction_log import read_predictions
from fx_serving.routing import GreenRoute, ModelRoute
from tests.servers.plane import Plane
from tests.servers.serving import NAMES, wait_until

ROWS = [[0.1, 0.2, 0.3, 0.4], [1.0, -1.0, 0.5, 0.0]]


def infer(plane: Plane, path: str = "/v2/models/move_60m/infer", **body):
    return plane.http.post(path, json=body)


def tensor(rows=ROWS, **more):
    return {
        "name": "input",
        "shape": [len(rows), 4],
        "datatype": "FP32",
        "data": [value for row in rows for value in row],
        **more,
    }


def test_the_server_and_its_models_say_what_they_are(plane):
    assert plane.http.get("/v2").json()["name"] == "fx serving"
    assert plane.http.get("/v2/health/live").json() == {"live": True}
    assert plane.http.get("/v2/health/ready").json() == {"ready": True}
    found = plane.http.get("/v2/models/move_60m").json()
    assert (found["name"], found["versions"], found["platform"]) == ("move_60m", ["1"], "onnx_onnxruntime")
    assert found["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 4]}]
    assert found["parameters"]["features"] == NAMES
    assert plane.http.get("/v2/models/move_60m/versions/1").json() == found
    assert plane.http.get("/v2/models/move_60m/ready").json() == {"name": "move_60m", "ready": True}
    assert plane.http.get("/v2/models/move_60m/versions/1/ready").status_code == 200


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/models/move_60m/versions/9", "/v2/models/none/ready"])
def test_what_is_not_deployed_is_404_in_the_protocols_form(plane, path):
    answer = plane.http.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()
    answer = infer(plane, f"{path.removesuffix('/ready')}/infer", inputs=[tensor()])
    assert answer.status_code == 404
    assert "error" in answer.json()


@pytest.mark.parametrize(("method", "path"), [("GET", "/v2/nothing"), ("POST", "/v2"), ("PUT", "/v2/models/move_60m")])
def test_what_no_route_takes_is_refused_in_the_protocols_form(plane, method, path):
    answer = plane.http.request(method, path)
    assert answer.status_code in (404, 405)
    assert list(answer.json()) == ["error"]


def test_a_tensor_scores_as_its_rows_do_by_the_platforms_own_route(plane):
    answer = infer(plane, id="q-1", inputs=[tensor()]).raise_for_status().json()
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("q-1", "move_60m", "1")
    output = answer["outputs"][0]
    assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP64", [2])
    own = [plane.predict(features=dict(zip(NAMES, row, strict=True)))["prediction"] for row in ROWS]
    assert output["data"] == own


def test_nested_data_and_one_tensor_a_feature_are_the_same_question(plane):
    flat = infer(plane, inputs=[tensor()]).json()["outputs"]
    assert infer(plane, inputs=[tensor(data=ROWS, datatype="FP64")]).json()["outputs"] == flat
    columns = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": [row[i] for row in ROWS]}
        for i, name in enumerate(NAMES)
    ]
    assert infer(plane, inputs=columns).json()["outputs"] == flat


def test_features_that_are_not_given_are_taken_from_the_instrument(plane):
    given = {"name": "rsi_14", "shape": [1], "datatype": "FP32", "data": [0.5]}
    found = infer(plane, inputs=[given], parameters={"instrument": "GBP_USD"}).raise_for_status().json()
    assert found["outputs"][0]["data"] == [plane.predict(features={"rsi_14": 0.5})["prediction"]]
    lacking = infer(plane, inputs=[given])
    assert lacking.status_code == 422
    assert "atr_14" in lacking.json()["error"]


def test_every_row_is_in_the_prediction_log(plane):
    ids = infer(plane, inputs=[tensor()]).json()["parameters"]["prediction_ids"]

    def logged():
        return [r for r in read_predictions(plane.stores.predictions) if r.prediction_id in ids]

    wait_until(lambda: len(logged()) == 2)
    assert {(record.route, record.instrument) for record in logged()} == {("v2", "")}


def test_a_version_asks_its_slot(rolling):
    green = infer(rolling, "/v2/models/move_60m/versions/2/infer", inputs=[tensor()]).json()
    assert (green["model_version"], green["parameters"]["slots"]) == ("2", ["green", "green"])
    blue = infer(rolling, inputs=[tensor()], parameters={"slot": "blue"}).json()
    assert blue["parameters"]["model_versions"] == ["1", "1"]
    assert rolling.http.get("/v2/models/move_60m").json()["versions"] == ["1", "2"]
    contradicting = infer(
        rolling, "/v2/models/move_60m/versions/2/infer", inputs=[tensor()], parameters={"slot": "blue"}
    )
    assert contradicting.status_code == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs: is empty"),
        ({"inputs": [tensor(shape=[2, 3])]}, "shape"),
        ({"inputs": [tensor(shape=[2, 4, 1])]}, "shape"),
        ({"inputs": [tensor(shape=[3, 4])]}, "8 values"),
        ({"inputs": [tensor(rows=[])]}, "no rows"),
        ({"inputs": [tensor(shape=[-1, 4])]}, "inputs"),
        ({"inputs": [tensor(datatype="BYTES")]}, "datatype"),
        ({"inputs": [tensor(data=[True] * 8)]}, "value 0 is not a number"),
        ({"inputs": [tensor(data=["1"] * 8)]}, "value 0 is not a number"),
        ({"inputs": [tensor(data=[1e300] * 8)]}, "finite"),
        ({"inputs": [tensor(name="colour")]}, "colour"),
        ({"inputs": [tensor(), tensor()]}, "input"),
        ({"inputs": [tensor()], "outputs": [{"name": "labels"}]}, "outputs"),
        ({"inputs": [tensor()], "parameters": {"slot": "red"}}, "slot"),
        ({"inputs": [tensor()], "parameters": {"key": ""}}, "key"),
        ({"inputs": [tensor()], "colour": 1}, "colour"),
        ({"inputs": [tensor()], "parameters": {"instrument": "XXX"}}, "XXX"),
    ],
)
def test_a_wrong_request_is_refused_by_name(plane, body, words):
    answer = infer(plane, **body)
    assert answer.status_code in (404, 422)
    assert words in answer.json()["error"]


def test_too_many_rows_and_broken_json_are_refused(plane):
    many = infer(plane, inputs=[tensor(rows=[[0.0] * 4] * 1001)])
    assert (many.status_code, "batch_rows" in many.json()["error"]) == (413, True)
    broken = plane.http.post("/v2/models/move_60m/infer", content=b'{"inputs": [NaN')
    assert broken.status_code == 422


def test_a_candidate_answers_its_share_of_rows(rolling):
    rolling.route(
        move_60m=ModelRoute(blue="1", green=GreenRoute(version="2", weight=100, rollout_id="r")),
        dir_60m=ModelRoute(blue="1"),
    )
    answer = infer(rolling, inputs=[tensor()]).json()
    assert answer["parameters"]["slots"] == ["green", "green"]

"""/health, /metrics, /drift/status, /docs and the OpenAPI document."""

import json
import os

import httpx
import pytest

from tests.servers.serving import wait_until


def test_health_lists_every_component(service):
    state = service.client.health()
    assert state["status"] == "ok", state
    assert set(state["components"]) == {"model", "feature_store", "registry", "log", "controller"}
    assert state["components"]["model"]["deployed"]["move_60m"] == {"blue": "1", "green": None}
    assert state["time"] == "2022-03-04T22:00:00Z"


def test_metrics_of_all_workers(service):
    service.client.predict("GBP_USD")
    text = httpx.get(f"{service.url}/metrics").text
    for line in (
        'fx_predictions_total{model="move_60m",outcome="ok",slot="blue",version="1"}',
        'fx_prediction_seconds_bucket{le="0.0002",model="move_60m",slot="blue",version="1"}',
        'fx_prediction_seconds_count{model="move_60m",slot="blue",version="1"}',
        'fx_feature_age_seconds{instrument="GBP_USD",view="market_features"} 0.0',
        'fx_traffic_weight{model="move_60m",slot="blue",version="1"} 100.0',
        "fx_controller_lease 1.0",
        "fx_prediction_log_degraded 0.0",
    ):
        assert wait_until(lambda line=line: line in httpx.get(f"{service.url}/metrics").text), text


def test_drift_status_as_written(service):
    assert service.client.drift_status()["models"] == {}
    status = {"format": 1, "model": "move_60m", "level": "minor", "max_psi": 0.12}
    service.stores.drift.mkdir(parents=True)
    (service.stores.drift / "move_60m.json").write_text(json.dumps(status))
    for number, content in enumerate((b"{", b'{"level": "\xff"}', b"[]")):
        (service.stores.drift / f"broken_{number}.json").write_bytes(content)
    found = service.client.drift_status()
    assert found["models"] == {"move_60m": status}
    assert len(found["problems"]) == 3
    for number, told in enumerate(found["problems"]):
        assert f"broken_{number}.json: cannot be read: " in told
        assert told.endswith("It is rewritten by the next drift check.")


def test_docs_need_no_internet(service):
    page = httpx.get(f"{service.url}/docs").text
    assert "http://" not in page
    assert "https://" not in page
    script = httpx.get(f"{service.url}/docs/assets/swagger-ui-bundle.js")
    assert script.status_code == 200
    assert len(script.content) > 500_000
    assert httpx.get(f"{service.url}/docs/assets/swagger-ui.css").status_code == 200
    assert httpx.get(f"{service.url}/service").json()["docs"] == "/docs"


def test_the_document_describes_every_route_with_examples(service):
    document = httpx.get(f"{service.url}/openapi.json").json()
    assert set(document["paths"]) >= {
        "/predict",
        "/predict/blue",
        "/predict/green",
        "/stream/predictions",
        "/feedback",
        "/v2",
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/{name}",
        "/v2/models/{name}/ready",
        "/v2/models/{name}/infer",
        "/v2/models/{name}/versions/{version}",
        "/v2/models/{name}/versions/{version}/ready",
        "/v2/models/{name}/versions/{version}/infer",
        "/service",
        "/health",
        "/ready",
        "/metrics",
        "/traffic",
        "/drift/status",
        "/rollouts",
        "/rollouts/{rollout_id}",
        "/rollouts/{rollout_id}/abort",
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation.get("summary"), path
    rollout = document["components"]["schemas"]["RolloutView"]
    done = service.client.rollouts()[0]
    assert set(rollout["properties"]) == set(done)


def test_the_document_describes_predictions_as_they_are(service):
    document = httpx.get(f"{service.url}/openapi.json").json()
    predict = document["paths"]["/predict"]["post"]
    refusals = {"400", "401", "403", "404", "408", "409", "413", "422", "429", "431", "500", "503", "504"}
    assert set(predict["responses"]) == {"200", *refusals}
    body = predict["requestBody"]["content"]["application/json"]
    forms = [set(form["properties"]) for form in body["schema"]["anyOf"]]
    assert [sorted(form)[:2] for form in forms] == [
        ["features", "instrument"],
        ["requests"],
        ["features", "instruments"],
    ]
    for example in body["examples"].values():
        assert any(set(example["value"]) <= form for form in forms)
    answer = document["components"]["schemas"]["PredictAnswer"]
    real = service.client.predict("GBP_USD")
    assert set(real) <= set(answer["properties"])
    assert set(answer["required"]) <= set(real)
    assert set(answer["examples"][0]) == set(real)
    explained = document["components"]["schemas"]["ExplainedAnswer"]
    found = httpx.post(f"{service.url}/predict?explain=true", json={"instrument": "GBP_USD"}, timeout=30).json()
    assert set(found) <= set(explained["properties"])
    infer = document["paths"]["/v2/models/{name}/infer"]["post"]["requestBody"]["content"]["application/json"]
    assert set(infer["schema"]["properties"]) == {"inputs", "id", "parameters", "outputs"}


@pytest.mark.parametrize("broken", ["gone", "damaged"])
def test_a_table_that_cannot_be_read_leaves_the_last_one_in_force(service, broken):
    """The controller replaces it within the renewal interval; meanwhile predictions go on."""
    path = service.stores.routing
    if broken == "gone":
        os.unlink(path)
    else:
        path.write_bytes(b"{")
    assert service.client.predict("GBP_USD")["model_version"] == "1"
    wait_until(path.exists)
    assert service.client.predict("GBP_USD")["model_version"] == "1"

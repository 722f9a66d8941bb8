"""What POST /predict refuses: every refusal names the field, what was wrong and what would be right."""

import httpx
import pytest

OK = '{"instrument": "GBP_USD"'

BAD = {
    "not json": ("{", 422, ["body", "JSON"]),
    "empty": ("", 422, ["body"]),
    "not an object": ("[1]", 422, ["body", "object"]),
    "no instrument": ("{}", 422, ["instrument", "missing"]),
    "instrument not a string": ('{"instrument": 5}', 422, ["instrument", "str"]),
    "unknown field": (OK + ', "instrumnt": 1}', 422, ["instrumnt", "Known"]),
    "unknown instrument": ('{"instrument": "XAU_USD"}', 404, ["XAU_USD", "EUR_USD, GBP_USD"]),
    "unknown model": (OK + ', "model": "nope"}', 404, ["nope", "move_60m"]),
    "unknown feature": (OK + ', "features": {"rsi": 1}}', 422, ["features.rsi", "rsi_14"]),
    "feature a string": (OK + ', "features": {"rsi_14": "1"}}', 422, ["features.rsi_14", "number"]),
    "feature a boolean": (OK + ', "features": {"rsi_14": true}}', 422, ["features.rsi_14", "number"]),
    "feature null": (OK + ', "features": {"rsi_14": null}}', 422, ["features.rsi_14", "number"]),
    "feature NaN": (OK + ', "features": {"rsi_14": NaN}}', 422, ["features.rsi_14", "nan"]),
    "feature infinite": (OK + ', "features": {"rsi_14": -Infinity}}', 422, ["features.rsi_14", "inf"]),
    "feature overflows": (OK + ', "features": {"rsi_14": 1e999}}', 422, ["features.rsi_14", "inf"]),
    "feature overflows float32": (OK + ', "features": {"rsi_14": 1e39}}', 422, ["features.rsi_14", "1e+39"]),
    "feature a huge integer": (OK + ', "features": {"rsi_14": 1' + "0" * 400 + "}}", 422, ["rsi_14"]),
    "features a list": (OK + ', "features": [1]}', 422, ["features", "object"]),
    "time without offset": (OK + ', "timestamp": "2022-03-04T21:00:00"}', 422, ["timestamp", "offset"]),
    "time malformed": (OK + ', "timestamp": "yesterday"}', 422, ["timestamp", "yesterday", "ISO 8601"]),
    "time a number": (OK + ', "timestamp": 5}', 422, ["timestamp", "str"]),
    "time out of range": (OK + ', "timestamp": "0001-01-01T00:00:00+14:00"}', 422, ["timestamp", "years"]),
    "time in the future": (OK + ', "timestamp": "2022-03-04T22:00:01Z"}', 422, ["timestamp", "future"]),
    "time before the rows": (
        OK + ', "timestamp": "2022-03-04T10:00:00Z"}',
        422,
        ["timestamp", "2022-03-04T18:00:00Z to 2022-03-04T22:00:00Z"],
    ),
    "request id too long": (OK + ', "request_id": "' + "a" * 65 + '"}', 422, ["request_id", "64"]),
    "request id odd": (OK + ', "request_id": "a b"}', 422, ["request_id"]),
    "request id with the end of a line": (OK + ', "request_id": "a\\n"}', 422, ["request_id"]),
    "half a character that is NaN": (OK + ', "features": {"\\ud800": NaN}}', 422, ["features.?", "nan"]),
    "key empty": (OK + ', "key": ""}', 422, ["key"]),
    "not UTF-8": (b'{"instrument": "\xff"}', 422, ["body"]),
    "both forms of a batch": ('{"requests": [{"instrument": "GBP_USD"}], "instruments": ["GBP_USD"]}', 422, ["one of"]),
    "an id beside requests": (
        '{"requests": [{"instrument": "GBP_USD"}], "request_id": "a"}',
        422,
        ["request_id: with requests, put it into each request"],
    ),
    "an instrument beside instruments": ('{"instruments": ["GBP_USD"], "instrument": "GBP_USD"}', 422, ["that list"]),
    "nonsense beside requests": ('{"requests": [{"instrument": "GBP_USD"}], "x": 1}', 422, ["x: no such", "requests."]),
    "an empty list": ("[]", 422, ["body", "Send an object such as"]),
    "too long": (OK + ', "key": "' + "a" * 300_000 + '"}', 413, ["262144"]),
}


@pytest.mark.parametrize("name", BAD)
def test_refused_with_the_field_named(service, name):
    body, status, words = BAD[name]
    answer = httpx.post(f"{service.url}/predict", content=body)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert all(word in detail for word in words), detail


def test_get_is_not_a_prediction(service):
    assert httpx.get(f"{service.url}/predict").status_code == 405


def test_refusals_are_counted_and_not_logged_as_predictions(service):
    before = service.client.traffic()["models"]["move_60m"]["blue"]["requests"]
    httpx.post(f"{service.url}/predict", json={"instrument": "XAU_USD"})
    assert service.client.traffic()["models"]["move_60m"]["blue"]["requests"] == before
    text = httpx.get(f"{service.url}/metrics").text
    assert 'fx_predictions_refused_total{reason="unknown_instrument",status="404"}' in text


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ("explian=true", OK + "}", "explian: no such query parameter"),
        ("explain=true&limit=1", OK + "}", "limit: no such query parameter"),
        ("explain=maybe", OK + "}", "explain: must be true or false"),
        ("explain=true", '{"instruments": ["GBP_USD", "EUR_USD"]}', "explain: a batch is not explained; leave explain"),
        ("explain=true", '{"requests": [{"instrument": "GBP_USD"}]}', "explain: a batch is not explained; leave"),
        ("explain=true", OK + ', "x": 1}', "x: no such field"),
    ],
)
def test_what_is_asked_for_in_the_query(service, query, body, words):
    answer = httpx.post(f"{service.url}/predict?{query}", content=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith(words)


CONTROL = {
    "unknown": ({"model": "m", "version": "1", "modle": 1}, "modle: no such field; known: model, version, policy, "),
    "missing": ({"model": "m"}, "version: is missing; give it"),
    "no text": ({"model": "m", "version": 1}, "version: must be a text; put it in quotes"),
    "another kind": (
        {"model": "m", "version": "1", "kind": "x"},
        "kind: is none of the values it can have; give 'canary'",
    ),
    "no object": ({"model": "m", "version": "1", "policy": [1]}, "policy: must be an object; write it as"),
    "odd id": (
        {"model": "m", "version": "1", "request_id": "a b"},
        "request_id: has characters it may not have; it must",
    ),
    "own words": (
        {"model": "m", "version": "1", "kind": "ab", "dry_run": True},
        "dry_run: an experiment needs traffic",
    ),
    "a list": ([1], "body: must be a JSON object; send an object with model, version, policy"),
}


@pytest.mark.parametrize("name", CONTROL)
def test_what_the_framework_refuses_is_told_in_the_services_words(service, name):
    body, words = CONTROL[name]
    answer = httpx.post(f"{service.url}/rollouts", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith(words), answer.text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/rollouts?limit=x", "limit: must be a whole number"),
        ("/rollouts?limit=0", "limit: is too small; it must be at least 1"),
        ("/series", "model: is missing; give it"),
    ],
)
def test_what_is_wrong_in_a_query_is_told_in_the_services_words(service, path, words):
    assert httpx.get(f"{service.url}{path}").json()["detail"].startswith(words)


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", None]
)
def test_json_is_json_whatever_it_is_called(service, kind):
    headers = {"content-type": kind} if kind else {}
    for method, path, status, words in (
        ("POST", "/rollouts", 404, "version: no bundle"),
        ("PUT", "/traffic", 409, "no candidate"),
        ("POST", "/feedback", 404, "is not in the prediction log"),
    ):
        body = {
            "/rollouts": b'{"model": "move_60m", "version": "none"}',
            "/traffic": b'{"model": "move_60m", "blue": 50, "green": 50}',
            "/feedback": b'{"prediction_id": "never", "realized_direction": 1}',
        }[path]
        answer = httpx.request(method, f"{service.url}{path}", content=body, headers=headers)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
    answer = httpx.put(f"{service.url}/traffic", content=b'{"model": "foo", "blue": 50, "green": 50}', headers=headers)
    _, told, known = answer.text.partition("Known: ")
    assert (answer.status_code, bool(told), "move_60m" in known) == (404, True, True), answer.text

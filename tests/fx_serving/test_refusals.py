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
    "key empty": (OK + ', "key": ""}', 422, ["key"]),
    "not UTF-8": (b'{"instrument": "\xff"}', 422, ["body"]),
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

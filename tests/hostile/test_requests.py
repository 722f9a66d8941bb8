"""Every route against bodies, paths, queries and headers that no honest client sends: 4xx in words, never 5xx."""

import json

import httpx
import pytest

from tests.servers.perimeter import exchange, status_of

DEEP = "[" * 5_000 + "]" * 5_000
BODIES: dict[str, bytes] = {
    "nothing": b"",
    "not json": b"{",
    "null": b"null",
    "a number": b"1",
    "a text": b'"x"',
    "a list": b"[1]",
    "an empty object": b"{}",
    "not a number": b'{"instrument": NaN, "features": {"rsi_14": NaN}, "blue": NaN, "green": NaN}',
    "infinite": b'{"instrument": "GBP_USD", "features": {"rsi_14": Infinity}, "blue": Infinity}',
    "too great": b'{"instrument": "GBP_USD", "features": {"rsi_14": 1e999}, "blue": 1e999, "green": -1e999}',
    "a huge integer": b'{"blue": 1' + b"0" * 5_000 + b', "instrument": 1' + b"0" * 5_000 + b"}",
    "deep": DEEP.encode(),
    "deep inside": b'{"instrument": "GBP_USD", "features": ' + DEEP.encode() + b', "policy": ' + DEEP.encode() + b"}",
    "not utf-8": b'{"instrument": "\xff\xfe", "model": "\xff"}',
    "half a character": b'{"instrument": "\\ud800", "model": "\\udfff", "version": "\\ud800"}',
    "half a character in a batch": b'{"instruments": ["\\ud800"], "requests": ["\\ud800"]}',
    "half a character in one instrument": b'{"instruments": ["\\ud800"]}',
    "half a character for a name": b'{"instrument": "GBP_USD", "features": {"\\ud800": NaN}, "\\udfff": NaN}',
    "half a character in a policy": b'{"model": "move_60m", "version": "1", "policy": {"\\ud800": "\\ud800"}}',
    "an unknown half a character": b'{"instrument": "GBP_USD", "model": "move_60m", "\\ud800": 1}',
    "not utf-8 in a batch": b'{"instruments": ["\xff"]}',
    "deep in a batch": b'{"instruments": ["GBP_USD"], "features": {"rsi_14": ' + DEEP.encode() + b"}}",
    "nul": b'{"instrument": "a\\u0000b", "model": "a\\u0000b", "version": "\\u0000", "reason": "\\u0000"}',
    "a byte order mark": b'\xef\xbb\xbf{"instrument": "GBP_USD"}',
    "keys twice": b'{"instrument": 1, "instrument": 2, "model": "a", "model": {}}',
    "unknown fields": b'{"instrument": "GBP_USD", "model": "move_60m", "version": "1", "nonsense": 1}',
    "everything wrong": b'{"instrument": {}, "model": [], "version": false, "policy": 3, "blue": "x", "inputs": 5}',
    "lists for texts": b'{"instrument": ["a"], "model": ["a"], "version": ["a"], "reason": ["a"], "inputs": [[]]}',
    "paths for names": b'{"instrument": "../../etc/passwd", "model": "../../x", "version": "../../../etc"}',
    "long texts": json.dumps({k: "a" * 100_000 for k in ("instrument", "model")}).encode(),
    "too many of them": b'{"requests": [' + b",".join([b'{"instrument": "GBP_USD"}'] * 5_000) + b"]}",
    "an empty batch": b'{"requests": []}',
    "a batch of nothing": b'{"requests": [null, 1, {}, []], "instruments": [1, null]}',
    "a shape that lies": b'{"inputs": [{"name": "input", "datatype": "FP64", "shape": [1000000000, 4], "data": [1]}]}',
    "a negative shape": b'{"inputs": [{"name": "input", "datatype": "FP64", "shape": [-1, 4], "data": [1, 2, 3, 4]}]}',
    "tensors of texts": b'{"inputs": [{"name": "input", "datatype": "BYTES", "shape": [1, 4], "data": ["a"]}]}',
    "ragged tensors": b'{"inputs": [{"name": "input", "datatype": "FP64", "shape": [2, 2], "data": [[1], [1, 2, 3]]}]}',
    "feedback on nothing": b'{"prediction_id": "", "realized_direction": 7, "realized_value": "x"}',
    "feedback with NaN": b'{"prediction_id": "x", "realized_value": NaN}',
    "feedback from far away": b'{"instrument": "GBP_USD", "timestamp": "9999-12-31T23:59:59-23:59"}',
    "a policy of nonsense": b'{"model": "move_60m", "version": "1", "policy": {"steps": [0, -1, "x"], "alpha": 9}}',
    "a policy without end": b'{"model": "move_60m", "version": "1", "policy": {"steps": ['
    + b",".join([b"1"] * 10_000)
    + b"]}}",
    "shares that do not add up": b'{"model": "move_60m", "blue": 70, "green": 70}',
    "negative shares": b'{"model": "move_60m", "blue": 150, "green": -50}',
}
ODD = [
    "%00",
    "..%2f..%2fetc%2fpasswd",
    "%ff%fe",
    "a" * 4_000,
    "%F0%9F%98%80",
    "x%0d%0aSet-Cookie:a",
    "'%20OR%201=1--",
    "-1",
]
QUERIES = ["limit=-1", "limit=0", "limit=1e99", "limit=999999999999999999999", "after=-5", "after=x", "minutes=nan"]
QUERIES += ["model=%00", "state=%ff", "model=" + "a" * 5_000, "limit=1&limit=2", "%00=%00", "&&&===", "explain=maybe"]


def operations(service, *methods: str) -> list[tuple[str, str]]:
    """(method, path) of the service's own document; streams left out."""
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    found = [(m.upper(), path) for path, item in paths.items() for m in item if m.upper() in methods]
    return [one for one in found if "/stream" not in one[1] and "/events" not in one[1]]


def fill(path: str, value: str = "x") -> str:
    """A path with its parts filled in."""
    return "/".join(value if part.startswith("{") else part for part in path.split("/"))


def refused(answer: httpx.Response, what: object) -> None:
    """Not answered by a failure, and in words where it was refused."""
    assert answer.status_code < 500, (what, answer.status_code, answer.text)
    if answer.status_code >= 400:
        problem = answer.json()
        words = problem.get("detail") or problem.get("error")
        assert isinstance(words, str), (what, problem)
        assert words, what
        assert "Traceback" not in words, words


@pytest.mark.parametrize("name", BODIES)
def test_bodies(service, name):
    with httpx.Client(base_url=service.url, timeout=30) as client:
        for method, path in operations(service, "POST", "PUT"):
            for given in {fill(path), fill(path, "move_60m")}:
                for kind in ("application/json", "text/plain", None):
                    headers = {"content-type": kind} if kind else {}
                    answer = client.request(method, given, content=BODIES[name], headers=headers)
                    refused(answer, (method, given, name))


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999"])
def test_a_limit_that_is_no_number_does_not_turn_its_gate_off(service, value):
    content = f'{{"model": "move_60m", "version": "1", "dry_run": true, "policy": {{"max_error_rate": {value}}}}}'
    answer = httpx.post(f"{service.url}/rollouts", content=content)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith("policy")


def test_a_feature_nested_up_to_what_the_parser_takes(service):
    """Whatever it costs to tell what was wrong, it is told."""
    with httpx.Client(base_url=service.url) as client:
        for depth in range(850, 1010):
            value = b"[" * depth + b"]" * depth
            content = b'{"instrument": "GBP_USD", "features": {"rsi_14": ' + value + b"}}"
            answer = client.post("/predict", content=content)
            assert answer.status_code == 422, (depth, answer.text)


def test_parts_of_paths(service):
    with httpx.Client(base_url=service.url) as client:
        for method, path in operations(service, "GET", "POST", "PUT"):
            if "{" not in path:
                continue
            for odd in ODD:
                answer = client.request(method, fill(path, odd), content=b"{}" if method != "GET" else None)
                refused(answer, (method, path, odd))
                assert "set-cookie" not in answer.headers


def test_queries(service):
    with httpx.Client(base_url=service.url) as client:
        for method, path in operations(service, "GET", "POST"):
            for query in QUERIES:
                content = b'{"instrument": "GBP_USD"}' if method == "POST" else None
                refused(client.request(method, f"{fill(path)}?{query}", content=content), (method, path, query))


def test_methods_nobody_declared(service):
    with httpx.Client(base_url=service.url) as client:
        for _, path in operations(service, "GET", "POST", "PUT"):
            for method in ("DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"):
                answer = client.request(method, fill(path))
                assert answer.status_code == 405, (method, path, answer.text)
                assert answer.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/predict/",
        "//predict",
        "/predict/../predict/../rollouts",
        "/./././health/../nowhere",
        "/predict%00",
        "/predict%0a",
        "/predict/blue%0A",
        "/v2/models/move_60m/infer%0a",
        "/traffic%0a",
        "/predict/blue/../../../../etc/passwd",
        "/console/../../config.py",
        "/console/..%2f..%2fconfig.py",
        "/console/%2e%2e/%2e%2e/config.py",
        "/console//etc/passwd",
        "/docs/assets/../../../../../../etc/passwd",
        "/docs/assets/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/docs/assets/%2e%2e%2f%2e%2e%2f%2e%2e%2fpyproject.toml",
        "/v2/models/../../rollouts",
        "/v2/models/%2e%2e/infer",
        "/predict;a=b",
        "/" + "a/" * 2_000,
        "http://evil.example/rollouts/x",
    ],
)
def test_tricks_with_paths(service, path):
    port = httpx.URL(service.url).port
    assert port
    for method in ("GET", "POST"):
        request = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        answer = exchange(port, request.encode())
        assert status_of(answer) in (400, 403, 404, 405, 422), (method, path, answer[:300])
        for leaked in (b"root:", b"[project]", b"ServingConfig"):
            assert leaked not in answer


@pytest.mark.parametrize(
    ("name", "value", "statuses"),
    [
        ("x-fx-deadline-ms", "nan", {422}),
        ("x-fx-deadline-ms", "-1", {422}),
        ("x-fx-deadline-ms", "soon", {422}),
        ("x-fx-deadline-ms", "1e400", {422}),
        ("x-fx-deadline-ms", "99999999", {200}),
        ("x-fx-actor", "boss", {200}),
        ("x-forwarded-for", "1.2.3.4", {200}),
        ("authorization", "Bearer " + "a" * 20_000, {200}),
        ("content-encoding", "gzip", {200}),
        ("range", "bytes=0-", {200}),
        ("accept", "text/html", {200}),
        ("expect", "100-continue", {200}),
        ("expect", "the impossible", {200, 417}),
        ("content-type", "\x01", {200, 400}),
    ],
)
def test_headers(service, name, value, statuses):
    port = httpx.URL(service.url).port
    assert port
    body = b'{"instrument": "GBP_USD"}'
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    answer = exchange(port, f"{head}{name}: {value}\r\n\r\n".encode("latin-1") + body)
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert status_of(answer) in statuses, answer


def test_nobody_speaks_in_another_ones_name(service):
    """The name in the audit trail is the caller's, whatever headers were sent."""
    headers = {"x-fx-actor": "somebody else"}
    body = {"model": "move_60m", "version": "no-such-version"}
    started = httpx.post(f"{service.url}/rollouts", json=body, headers=headers)
    assert started.status_code in (202, 404, 409, 422), started.text
    assert "somebody else" not in httpx.get(f"{service.url}/audit").text


def test_a_foreign_page_cannot_steer_the_open_service(service):
    page = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    body = json.dumps({"model": "move_60m", "version": "1"})
    assert httpx.post(f"{service.url}/rollouts", content=body, headers=page).status_code == 403
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert httpx.post(f"{service.url}/rollouts", content=body, headers=rebound).status_code == 403

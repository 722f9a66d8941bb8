"""The console's files and events over HTTP; what the page makes of them is tested in a browser."""

import contextlib
import json
import re
from collections.abc import Generator

import httpx
import pytest

from fx_serving.dataplane.console import FOLDER, read_files
from tests.servers.serving import make_bundle, wait_until


def events(service) -> Generator[dict, None, None]:
    with httpx.stream("GET", f"{service.url}/console/events", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        for line in answer.iter_lines():
            if line.startswith("data:"):
                yield json.loads(line[5:])


def test_the_page_is_served_with_a_tag_and_without_scripts_of_others(service):
    page = httpx.get(service.url)
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"].startswith("default-src 'self'")
    assert page.headers["cache-control"] == "no-cache"
    again = httpx.get(service.url, headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.get(service.url, headers={"if-none-match": '"other"'}).status_code == 200
    assert httpx.get(f"{service.url}/favicon.ico").status_code == 204


def test_every_file_is_served_and_no_other(service):
    kinds = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
    for path in FOLDER.iterdir():
        answer = httpx.get(f"{service.url}/console/{path.name}")
        assert answer.content == path.read_bytes()
        assert answer.headers["content-type"].startswith(kinds[path.suffix])
    for bad in ("none.js", "..%2Fconfig.py", "%2e%2e", "console.py"):
        assert httpx.get(f"{service.url}/console/{bad}").status_code in (400, 404)


@pytest.mark.parametrize("name", sorted(read_files()))
def test_files_load_nothing_from_elsewhere_and_are_short(name):
    text = read_files()[name][0].decode()
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []
    assert "innerHTML" not in text
    assert " style=" not in text
    assert len(text.splitlines()) <= 400


def test_the_first_event_holds_everything_and_the_next_what_changed(service):
    stream = events(service)
    first = next(stream)
    assert set(first) >= {"caller", "now", "lease", "models", "rollouts", "order", "health", "drift", "audit"}
    assert first["caller"] == {"name": "local", "role": "operate"}
    assert first["models"]["move_60m"]["blue"]["version"] == "1"
    assert first["problem"] is None
    assert [record["seq"] for record in first["audit"]] == sorted((r["seq"] for r in first["audit"]), reverse=True)
    make_bundle(service.stores, "shown")
    started = service.client.start_rollout("move_60m", "shown", {"window_s": 600})
    seen: dict = {}
    for event in stream:
        assert "caller" not in event
        seen |= event.get("rollouts", {})
        assert set(event.get("rollouts", {})) <= {started["id"]}
        if started["id"] in seen and seen[started["id"]]["state"] == "canary":
            break
    service.client.abort_rollout(started["id"])
    for event in stream:
        if event.get("rollouts", {}).get(started["id"], {}).get("state") == "aborted":
            assert event["audit"][0]["what"] == "aborted"
            break
    stream.close()


def test_a_running_rollout_is_shown_however_many_are_newer(service):
    make_bundle(service.stores, "long")
    experiment = service.client.start_rollout("move_60m", "long", kind="ab")["id"]
    newer = [f"newer{i}" for i in range(13)]
    for version in newer:  # each supersedes the one that waits
        (service.stores.bundles / "move_60m" / version).mkdir()
        service.client.start_rollout("move_60m", version, dry_run=True)
    newest = service.client.rollouts(limit=1)[0]["id"]
    stream, order, shown = events(service), [], set()
    for event in stream:  # what another page was told a moment ago comes first
        order, shown = event.get("order", order), shown | set(event.get("rollouts", {}))
        if newest in order:
            break
    stream.close()
    for id in (newest, experiment):
        service.client.abort_rollout(id)
    assert len(order) == 13
    assert experiment in order
    assert experiment in shown


def test_more_pages_than_allowed_are_refused(service):
    held = []  # a reader that is forgotten closes its connection
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            answer = stack.enter_context(httpx.stream("GET", f"{service.url}/console/events", timeout=20))
            assert answer.status_code == 200
            held.append(answer.iter_lines())
            assert next(held[-1]).startswith("event:")
        refused = httpx.get(f"{service.url}/console/events")
        assert refused.status_code == 429
        assert "limits.streams" in refused.json()["detail"]

    def free() -> bool:
        with httpx.stream("GET", f"{service.url}/console/events", timeout=20) as answer:
            return answer.status_code == 200

    wait_until(free)

"""Messages through apprise to real receivers: web hook, mail, Slack's and PagerDuty's formats; and to bad ones."""

import json
import logging

import pytest

from fx_monitoring.alerts import delivery
from fx_monitoring.alerts.model import Message
from fx_monitoring.redact import without_credentials
from tests.servers.faults import FaultApp, dead_port, serve
from tests.servers.receivers import Hook, mail_server

SECRET = "s3cr3tT0ken"


@pytest.fixture(scope="module")
def door():
    """(hook, its switch for faults, its port)."""
    hook = Hook()
    app = FaultApp(hook)
    with serve(app) as served:
        yield hook, app, served.port


@pytest.fixture
def hook(door):
    hook, app, port = door
    hook.came.clear()
    app.fault(None)
    return hook, app, port


def message(**more) -> Message:
    words = {"subject": "[CRITICAL] no new rows", "body": "line one\nDo: <mend> & go", "severity": "critical"}
    return Message(**{**words, "resolved": False, "key": "DataStale/x", "link": "http://look/here", **more})


def test_a_web_hook_gets_subject_body_and_kind(hook):
    kept, _, port = hook
    assert delivery.send(f"json://user:{SECRET}@127.0.0.1:{port}/alerts", message()) is None
    (body,) = kept.bodies("/alerts")
    assert (body["title"], body["type"]) == ("[CRITICAL] no new rows", "failure")
    assert body["message"] == "line one\nDo: <mend> & go"
    delivery.send(f"json://127.0.0.1:{port}/alerts", message(severity="warning"))
    delivery.send(f"json://127.0.0.1:{port}/alerts", message(resolved=True))
    assert [b["type"] for b in kept.bodies("/alerts")] == ["failure", "warning", "success"]


def test_a_letter_arrives_with_its_words_as_they_are():
    with mail_server() as mailbox:
        address = f"mailto://127.0.0.1:{mailbox.port}?from=fx@example.org&to=duty@example.org&format=text"
        assert delivery.send(address, message()) is None
        (letter,) = mailbox.letters
        assert (letter["subject"], letter["to"]) == ("[CRITICAL] no new rows", "duty@example.org")
        content = letter.get_content()
        assert "line one" in content
        assert "Do: <mend> & go" in content
        mailbox.refuses = 550
        reason = delivery.send(address, message())
        assert reason is not None
        assert reason.startswith("mailto: ")


def test_slack_gets_its_own_format(hook, monkeypatch):
    from apprise.plugins.slack import NotifySlack

    kept, _, port = hook
    monkeypatch.setattr(NotifySlack, "webhook_url", f"http://127.0.0.1:{port}/services")
    tokens = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
    assert delivery.send(f"slack://{tokens}/#fx-desk", message()) is None
    (body,) = kept.bodies(f"/services/{tokens}")
    text = json.dumps(body)
    assert "[CRITICAL] no new rows" in text
    assert "line one" in text
    assert body["channel"] == "#fx-desk"


def test_a_slack_compatible_server_of_ones_own_too(hook):
    kept, _, port = hook
    assert delivery.send(f"mmost://127.0.0.1:{port}/3ccdd113474722377935511fc85d3dd4", message()) is None
    (body,) = kept.bodies("/hooks/")
    assert "[CRITICAL] no new rows" in body["text"]


def test_pagerduty_opens_one_incident_for_a_trouble_and_closes_it(hook, monkeypatch):
    from apprise.plugins import pagerduty

    kept, _, port = hook
    monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, "us", f"http://127.0.0.1:{port}/v2/enqueue")
    address = f"pagerduty://{'k' * 32}@{SECRET}"
    for sent in (message(), message(), message(resolved=True)):
        assert delivery.send(address, sent) is None
    events = kept.bodies("/v2/enqueue")
    assert [event["event_action"] for event in events] == ["trigger", "trigger", "resolve"]
    assert {event["dedup_key"] for event in events} == {"DataStale/x"}
    assert events[0]["payload"]["severity"] == "critical"
    assert events[0]["links"] == [{"href": "http://look/here"}]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("server_error", "answered HTTP 500"),
        ("unauthorized", "answered HTTP 401"),
        ("rate_limited", "answered HTTP 429"),
    ],
)
def test_an_answer_that_refuses_is_told_by_its_status(hook, fault, said):
    kept, app, port = hook
    app.fault(fault)
    assert delivery.send(f"json://127.0.0.1:{port}/{SECRET}", message()) == f"json: {said}"
    assert kept.came == []


def test_hanging_up_and_refusing_are_no_connection(hook):
    _, app, port = hook
    app.fault("hang_up")
    wanted = "json: no connection, or no answer in time"
    assert delivery.send(f"json://127.0.0.1:{port}/{SECRET}", message()) == wanted
    assert delivery.send(f"json://127.0.0.1:{dead_port()}/{SECRET}", message()) == wanted


def test_a_receiver_that_does_not_answer_is_given_up(hook):
    _, app, port = hook
    app.fault("slow", seconds=3, times=1)
    said = delivery.send(f"json://127.0.0.1:{port}/{SECRET}?rto=0.2", message())
    assert said == "json: no connection, or no answer in time"


@pytest.mark.parametrize("address", ["nonsense", f"nosuch://{SECRET}", f"slack://{SECRET}", "mailto://", ""])
def test_an_address_that_is_none_is_told_without_it(address):
    said = delivery.send(address, message())
    assert said is not None
    assert "apprise" in said
    assert SECRET not in said


def test_no_log_of_any_level_holds_an_address(hook, caplog):
    """apprise and what it stands on write addresses and payloads, tokens included, into their logs."""
    _, app, port = hook
    caplog.set_level(logging.DEBUG)
    for name in ("apprise", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    for fault in (None, "server_error", "hang_up"):
        app.fault(fault)
        delivery.send(f"json://user:{SECRET}@127.0.0.1:{port}/{SECRET}?+X-Key={SECRET}", message())
    delivery.send(f"slack://{SECRET}", message())
    assert SECRET not in caplog.text
    assert str(port) not in caplog.text


def test_words_of_others_lose_their_credentials():
    assert without_credentials("at https://me:pw@host/x and b://t@h") == "at https://***@host/x and b://***@h"

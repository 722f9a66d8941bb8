"""fx alerts: what people type at night."""

import json
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner

from fx_monitoring.alerts import Desk
from fx_monitoring.cli import register
from fx_serving.client.home import Stores
from tests.fx_monitoring.alerts.conftest import alert
from tests.servers.faults import FaultApp, dead_port, serve
from tests.servers.receivers import Hook

SECRET = "s3cr3tT0ken"


@pytest.fixture
def desk(tmp_path, monkeypatch) -> Desk:
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    return Desk(Stores(tmp_path))


@pytest.fixture
def call(desk) -> Callable[..., tuple[int, str]]:
    app = typer.Typer()
    register(app)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["alerts", *arguments], env={"COLUMNS": "200", "NO_COLOR": "1"})
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def test_list_shows_what_to_do_and_whether_messages_get_out(desk, call, monkeypatch):
    code, said = call("list")
    assert code == 0
    assert "nothing is open" in said
    assert "none: set FX_ALERT_URLS_DUTY" in said
    monkeypatch.setenv("FX_ALERT_URLS_DUTY", f"json://{SECRET}")
    desk.fire(alert("FeatureDrift/move_60m"))
    desk.fire(alert("DataStale/gold/features", "critical"))
    code, said = call("list")
    assert said.index("DataStale/gold/features") < said.index("FeatureDrift/move_60m")
    assert "do: mend it" in said
    assert "runbook: http://127.0.0.1:8710/runbooks/DataStale.md" in said
    assert SECRET not in said
    desk.resolve("FeatureDrift/move_60m", "calm")
    assert "FeatureDrift" not in call("list")[1]
    assert ": calm)" in call("list", "--all")[1]
    assert [found["key"] for found in json.loads(call("list", "--json")[1])] == ["DataStale/gold/features"]


def test_ack_close_and_silence(desk, call):
    desk.fire(alert("A/b"))
    assert call("ack", "A/b", "--by", "kim")[0] == 0
    assert "acknowledged by kim" in call("list")[1]
    assert call("silence", "A/*", "--for", "2h", "--why", "maintenance", "--by", "kim") == (
        0,
        f"A/*: silent until {desk.silences()[0][1]:%Y-%m-%d %H:%M} UTC; 1 open alerts fit now\n",
    )
    assert "A/*  (kim: maintenance)" in call("list")[1]
    call("silence", "A/*", "--for", "0m")
    assert desk.silences() == []
    assert call("close", "A/b", "--why", "done", "--by", "kim")[0] == 0
    assert desk.newest(1)[0].why == "done (kim)"
    for wrong in (["ack", "A/b"], ["close", "A/b"]):
        code, said = call(*wrong)
        assert code == 1
        assert "no such open alert. Open are: none." in said


@pytest.mark.parametrize("span", ["soon", "2", "h", "-1h"])
def test_a_wrong_span_is_told(call, span):
    code, said = call("silence", "A/*", f"--for={span}")
    assert code == 1
    assert "Write it as 30m, 2h or 1d" in said


def test_test_says_of_each_address_whether_it_got_there(call, monkeypatch):
    hook = Hook()
    with serve(FaultApp(hook)) as served:
        good, bad = f"json://127.0.0.1:{served.port}/{SECRET}", f"json://127.0.0.1:{dead_port()}/{SECRET}"
        monkeypatch.setenv("FX_ALERT_URLS_DUTY", f"{good} {bad}")
        code, said = call("test", "--route", "duty")
        assert code == 1
        assert "duty, address 1 of 2 (json): sent" in said
        assert "duty, address 2 of 2 (json): json: no connection" in said
        assert SECRET not in said
        monkeypatch.setenv("FX_ALERT_URLS_DUTY", good)
        assert call("test") == (0, "duty, address 1 of 1 (json): sent\n")
    assert [body["title"] for body in hook.bodies()] == ["[test] fx alerts test"] * 2


def test_test_teaches_where_addresses_belong(call):
    code, said = call("test")
    assert code == 1
    assert "FX_ALERT_URLS_DESK: not set" in said
    assert "'desk' is" not in said
    code, said = call("test", "--route", "nobody")
    assert code == 1
    assert "'nobody' is not a route of alerts.yaml. Use one of desk, duty." in said
    code, said = call("test", "--help")
    assert "mailto://user:password@example.org" in said


def test_alone_it_lists_its_commands(call):
    said = call()[1]
    for name in ("list", "test", "ack", "close", "silence"):
        assert name in said

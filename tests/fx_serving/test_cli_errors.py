"""What the `fx` command says when it cannot do what was asked: one line, with the remedy that fits."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import typer
from typer.testing import CliRunner

from fx_serving import cli, cli_rollout
from fx_serving.client.http import ServiceUnreachable, ServingClient
from tests.servers.certificates import certificate

START = "Start it: fx up, or fx serve."


def fx(*words: str):
    return CliRunner().invoke(cli.app, [*words], env={"COLUMNS": "200"})


def refusal(url: str, token: str | None = None) -> str:
    with pytest.raises(ServiceUnreachable) as error, ServingClient(url, token=token) as client:
        client.traffic()
    return str(error.value)


def test_only_a_service_that_does_not_answer_is_to_be_started():
    assert START in refusal("http://127.0.0.1:1")
    for url in ("127.0.0.1:8700", "ftp://127.0.0.1", "http://[::"):
        said = refusal(url)
        assert "http://HOST:PORT" in said, url
        assert START not in said


def test_a_token_that_no_request_can_carry_is_not_repeated():
    for bad in ("fxp_secret\n", "fxp_secrét"):
        said = refusal("http://127.0.0.1:1", bad)
        assert "FX_SERVING_TOKEN" in said
        assert "secr" not in said
        assert START not in said


def test_a_certificate_that_is_not_trusted_names_the_variable(tmp_path, monkeypatch):
    certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        plain = f"https://127.0.0.1:{server.server_port}"
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = refusal(plain)
        server.shutdown()
    assert "FX_SERVING_CA: name a PEM file" in said
    assert START not in said
    monkeypatch.setenv("FX_SERVING_CA", str(tmp_path / "none.pem"))
    said = refusal("https://127.0.0.1:1")
    assert "none.pem" in said
    assert START not in said


def test_https_to_a_service_without_it():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        said = refusal(f"https://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert "ask it by http://" in said


@pytest.mark.parametrize("words", [("--port", "70000"), ("--workers", "0")])
def test_a_number_out_of_range_names_option_and_range(words):
    done = fx("serve", *words)
    assert done.exit_code == 2
    assert words[0] in done.stderr
    assert f"{words[1]}: must lie within" in done.stderr


def test_a_home_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    done = fx("serve", "--home", str(tmp_path / "file" / "home"))
    assert done.exit_code == 1
    assert "is new and empty" not in done.stderr
    assert "Not a directory. Choose a data folder that can be written: --home, or FX_HOME." in done.stderr


IDS = ("3f2a9c1b2d3e", "3f2b00000000", "77aa00000000")


@pytest.fixture
def three(monkeypatch):
    """Three rollouts, none of which runs."""
    found = [{"id": id, "model": "move_60m", "version": "2", "state": "succeeded"} for id in IDS]
    monkeypatch.setattr(cli_rollout, "ask", lambda url, call: found)


@pytest.mark.usefixtures("three")
def test_a_rollout_is_named_by_how_its_id_begins(capsys):
    assert cli_rollout._running("3f2a", None) == IDS[0]
    assert cli_rollout._running("7", None) == IDS[2]
    assert cli_rollout._running("unknown but whole", None) == "unknown but whole", "the service answers for it"
    with pytest.raises(typer.Exit):
        cli_rollout._running("3f2", None)
    assert f"'3f2': several begin so, write more of it: {IDS[0]} (move_60m 2), {IDS[1]}" in capsys.readouterr().err
    with pytest.raises(typer.Exit):
        cli_rollout._running("4", None)
    assert f"'4': no rollout begins so. The newest: {IDS[0]}" in capsys.readouterr().err


def test_what_was_before_the_first_look_has_no_share(capsys):
    tell = cli_rollout._teller()
    event = {"at": "2022-03-04T21:30:59Z", "what": "queued", "why": "asked for"}
    seen = {"id": IDS[0], "weight": 50.0, "awaiting": None, "events": [event]}
    tell(seen)
    tell(seen | {"weight": 100.0, "events": [event, event | {"what": "step"}]})
    assert capsys.readouterr().out.splitlines() == [
        "21:30:59         queued: asked for",
        "21:30:59  100 %  step: asked for",
    ]

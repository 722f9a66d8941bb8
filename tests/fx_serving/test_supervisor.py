"""Starting and stopping `fx serve`: what it refuses and how it says so."""

import os
import socket
import subprocess
import sys

import httpx
import pytest

from fx_serving import ports
from fx_serving.config import ConfigError, load_config
from tests.servers.serving import ROOT, launch, start_service


def serve(home, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`fx serve` that is expected to refuse."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("FX_")}
    variables |= {"FX_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "400", **environment}
    command = [sys.executable, "-m", "fx_serving.cli", "serve", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=20, check=False)


def test_a_port_in_use_names_its_holder(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(tmp_path, "--port", str(port))
        assert ports._holder_proc(port) == os.getpid()
    assert done.returncode == 1
    assert f"port {port} is in use by" in done.stderr
    assert f"(pid {os.getpid()})" in done.stderr
    assert "--port" in done.stderr


def test_a_public_address_is_refused_without_access_control(tmp_path):
    done = serve(tmp_path, "--host", "0.0.0.0")
    assert done.returncode == 1
    assert "no access control is configured" in done.stderr
    assert "FX_SERVING_TOKEN" in done.stderr


def test_a_malformed_clock_is_refused(tmp_path):
    done = serve(tmp_path, FX_CLOCK="last friday")
    assert done.returncode == 1
    assert "FX_CLOCK: 'last friday'" in done.stderr


def test_one_supervisor_per_home(service):
    done = serve(service.home, "--port", "0")
    assert done.returncode == 1
    assert f"pid {service.process.pid}" in done.stderr
    assert service.client.predict("GBP_USD")["slot"] == "blue"


def test_a_token_guards_everything_but_state(tmp_path):
    with start_service(tmp_path, environment={"FX_SERVING_TOKEN": "secret"}) as service:
        for path in ("/health", "/metrics"):
            assert httpx.get(service.url + path).status_code == 200
        assert httpx.get(service.url + "/ready").status_code == 503
        for path in ("/traffic", "/rollouts", "/docs", "/"):
            assert httpx.get(service.url + path).status_code == 401
        assert httpx.post(service.url + "/predict", json={"instrument": "x"}).status_code == 401
        wrong = {"Authorization": "Bearer Secret"}
        assert httpx.get(service.url + "/traffic", headers=wrong).status_code == 401
        assert service.client.traffic()["models"] == {}


def test_stopping_leaves_no_process_and_no_address(tmp_path):
    service = launch(tmp_path, workers=1)
    pids = [*service.worker_pids().values(), service.controller_pid()]
    assert service.stop() == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert not service.stores.address.exists()
    assert list(service.stores.workers.glob("*.json")) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot: 1", "prot"),
        ("port: many", "port: 'many'"),
        ("rollout: {steps: [50]}", "rollout.steps"),
        ("sidecar: {deadline_ms: 0}", "sidecar.deadline_ms: 0"),
        ("[1]", "name: value"),
        ("port: [", "cannot be read"),
    ],
)
def test_settings_errors_name_file_key_and_value(tmp_path, text, words):
    path = tmp_path / "config" / "serving.yaml"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_config(tmp_path)
    assert str(path) in str(error.value)
    assert words in str(error.value)


def test_the_packaged_settings_are_the_defaults(tmp_path, monkeypatch):
    from fx_serving.config import ServingConfig

    assert load_config(tmp_path) == ServingConfig()
    (tmp_path / "serving.yaml").write_text("port: 9")
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    assert load_config(tmp_path / "home").port == 9

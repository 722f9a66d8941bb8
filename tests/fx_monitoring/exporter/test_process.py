"""The exporter as a process: what `fx up` starts, and the command."""

import httpx
import pytest
import typer
from typer.testing import CliRunner

from fx_assets.configuration import load_configuration
from fx_assets.stack.ports import free_port
from fx_assets.stack.stack import Ports, Stack
from fx_monitoring import cli
from tests.servers.serving import wait_until


@pytest.fixture
def fx() -> typer.Typer:
    app = typer.Typer()
    cli.register(app)
    return app


def test_fx_up_starts_the_exporter_of_its_home(tmp_path):
    port = free_port()
    ports = Ports(dagster=None, serving=None, mlflow=None, exporter=port)
    with Stack(tmp_path, load_configuration(), ports) as stack:
        assert stack.addresses == {"metrics": f"http://127.0.0.1:{port}"}
        stack.start()
        url = stack.addresses["metrics"] + "/metrics"
        wait_until(lambda: "fx_disk_free_ratio" in httpx.get(url, trust_env=False).text)
        assert stack.look_after() is None
    assert not [helper for helper in stack.helpers if helper.process and helper.process.alive()]


def test_the_command_refuses_a_public_address_in_words(fx, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    monkeypatch.delenv("FX_EXPORTER_TOKEN", raising=False)
    done = CliRunner().invoke(fx, ["exporter", "--port", "0", "--host", "0.0.0.0"])
    assert done.exit_code == 1
    assert "FX_EXPORTER_TOKEN" in done.output


def test_a_clock_that_cannot_be_read_is_told_at_the_start(fx, tmp_path, monkeypatch):
    monkeypatch.setenv("FX_HOME", str(tmp_path))
    monkeypatch.setenv("FX_CLOCK", "yesterday")
    done = CliRunner().invoke(fx, ["exporter", "--port", "0"])
    assert done.exit_code == 1
    assert "FX_CLOCK" in done.output

"""fx doctor: what is wrong is named with its remedy, and the exit code says so."""

import os
import socket

import pytest

from fx_assets.cli import doctor as module
from fx_assets.configuration import SHIPPED
from tests.servers.platform import fx


@pytest.fixture
def quiet_ports(monkeypatch):
    """Ports that nobody holds: a platform that runs on this machine is not this test's business."""
    from fx_assets.stack.ports import free_port

    monkeypatch.setattr(module, "PORTS", {"Dagster UI": free_port(), "deployment service": free_port()})


def verdicts(said: str) -> dict[str, str]:
    """What was found by verdict line; the line after a bad one is its remedy."""
    return {line[4:].strip(): line[:3].strip() for line in said.splitlines() if line.startswith(("ok ", "bad"))}


def test_a_good_machine_gets_ok_throughout(call, quiet_ports):
    code, said = call("doctor")
    assert code == 0, said
    assert set(verdicts(said).values()) == {"ok"}
    assert "everything is well" in said
    assert any(line.endswith("4 instruments, 2 models") for line in verdicts(said))


def test_a_broken_yaml_is_named_with_line_and_remedy(tmp_path):
    for name in ("instruments.yaml", "models.yaml", "gates.yaml"):
        (tmp_path / name).write_text((SHIPPED / name).read_text())
    (tmp_path / "models.yaml").write_text("models:\n  move_60m: {label: [1, 2\n")
    done = fx("doctor", "--home", tmp_path / "home", FX_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.split() == ["bad", "configuration"]]
    remedy = "\n".join(lines[at + 1 :])
    assert f"{tmp_path / 'models.yaml'}: not valid YAML" in remedy
    assert "line 3" in remedy
    assert "Mend the line named above" in remedy
    assert lines[-1].endswith("to mend")


def test_a_wrong_value_is_named_with_its_brackets(call, quiet_ports, tmp_path, monkeypatch):
    """Square brackets are words, not colours."""
    text = (SHIPPED / "instruments.yaml").read_text()
    (tmp_path / "instruments.yaml").write_text(text.replace("sources: [sample]", "sources: [samples]"))
    for name in ("models.yaml", "gates.yaml"):
        (tmp_path / name).write_text((SHIPPED / name).read_text())
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    code, said = call("doctor")
    assert code == 1
    assert "instruments.GBP_USD.sources: 'samples' is not a source of candles. Use one of" in said


def test_a_missing_package_is_named_with_the_whole_remedy(call, quiet_ports, monkeypatch):
    monkeypatch.setattr(module, "PACKAGES", ("dagster", "a-package-nobody-has"))
    code, said = call("doctor")
    assert code == 1
    assert verdicts(said)["a-package-nobody-has is not installed"] == "bad"
    assert "Run make venv, or pip install 'fx-platform[platform]'" in said


def test_a_port_in_use_names_the_process(call, monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        port = held.getsockname()[1]
        monkeypatch.setattr(module, "PORTS", {"Dagster UI": port})
        code, said = call("doctor")
    assert code == 1
    (line,) = [line for line in verdicts(said) if line.startswith(f"port {port} for Dagster UI is in use by ")]
    assert f"(process {os.getpid()})" in line
    assert "choose another port: fx up --help" in said


def test_a_wrong_clock_is_named(call, quiet_ports, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "noon")
    code, said = call("doctor")
    assert code == 1
    assert "FX_CLOCK: 'noon'" in said


def test_looking_leaves_nothing_behind(call, home, quiet_ports):
    home.mkdir()
    call("doctor")
    assert list(home.iterdir()) == []

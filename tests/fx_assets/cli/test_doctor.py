"""fx doctor: what is wrong is named with its remedy, and the exit code says so."""

import os
import socket
import subprocess
import sys

import pytest

from fx_assets.configuration import SHIPPED
from fx_assets.stack import examine as module
from fx_serving.client.home import fx_home
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


def test_the_overlays_of_an_environment_are_told(call, quiet_ports, tmp_path, monkeypatch):
    (tmp_path / "data.prod.yaml").write_text("live: {poll_seconds: 61}\n")
    (tmp_path / "serving.prod.yaml").write_text("workers: 3\n")
    monkeypatch.setenv("FX_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("FX_ENV", "prod")
    code, said = call("doctor")
    assert code == 0, said
    assert "FX_ENV=prod: data.prod.yaml, serving.prod.yaml laid over it" in verdicts(said)


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


def test_a_port_that_this_homes_own_service_holds_is_well(call, home, monkeypatch):
    """It is one of ours by the FX_HOME it was started with; the same program for another home is in the way."""
    listen = "import socket, sys; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
    listen += "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    for folder, expected in ((home, 0), (home.parent / "other", 1)):
        child = subprocess.Popen(
            [sys.executable, "-c", listen],
            env={**os.environ, "FX_HOME": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert child.stdout is not None
            port = int(child.stdout.readline())
            monkeypatch.setattr(module, "PORTS", {"deployment service": port})
            code, said = call("doctor")
            assert code == expected, said
            assert (f"port {port} for deployment service is held by this home's own" in said) == (expected == 0)
        finally:
            child.communicate()


@pytest.mark.parametrize("given", [["--home", "home"], ["--home=home"], []])
def test_a_service_started_by_hand_is_known_by_its_home(tmp_path, monkeypatch, given):
    """`fx exporter --home` sets FX_HOME in itself, where nobody else sees it; without it, it is the checkout's own."""
    monkeypatch.delenv("FX_HOME", raising=False)
    program = tmp_path / "fx"
    program.write_text("import sys; print(flush=True); sys.stdin.read()")
    pipe = subprocess.PIPE
    child = subprocess.Popen([sys.executable, program, "exporter", *given], cwd=tmp_path, stdin=pipe, stdout=pipe)
    try:
        assert child.stdout is not None
        assert child.stdout.readline()
        assert module.serves_home(child.pid, tmp_path / "home") == bool(given)
        assert module.serves_home(child.pid, fx_home()) == (not given)
        assert not module.serves_home(child.pid, tmp_path), "where it was started is not its home"
    finally:
        child.communicate()
    assert not module.serves_home(os.getpid(), fx_home())


def test_a_wrong_clock_is_named(call, quiet_ports, monkeypatch):
    monkeypatch.setenv("FX_CLOCK", "noon")
    code, said = call("doctor")
    assert code == 1
    assert "FX_CLOCK: 'noon'" in said


def test_looking_leaves_nothing_behind(call, home, quiet_ports):
    home.mkdir()
    call("doctor")
    assert list(home.iterdir()) == []

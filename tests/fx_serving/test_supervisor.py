"""Starting and stopping `fx serve`: what it refuses and how it says so."""

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest
import yaml

from fx_serving import ports
from fx_serving.children import Child
from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient
from fx_serving.config import ConfigError, load_config
from fx_serving.reload import Reload
from tests.servers.certificates import certificate
from tests.servers.serving import ROOT, Traffic, launch, make_bundle, publish_features, start_service, wait_until


def serve(home, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`fx serve` that is expected to refuse."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("FX_")}
    variables |= {"FX_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "400", **environment}
    command = [sys.executable, "-m", "fx_serving.cli", "serve", *arguments]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=240, check=False)


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
    assert "fx token create" in done.stderr


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
        for path in ("/health", "/metrics", "/docs", "/openapi.json"):
            assert httpx.get(service.url + path).status_code == 200
        assert httpx.get(service.url + "/ready").status_code == 503
        for path in ("/traffic", "/rollouts", "/service", "/audit", "/stream/predictions"):
            assert httpx.get(service.url + path).status_code == 401
        assert httpx.post(service.url + "/predict", json={"instrument": "x"}).status_code == 401
        wrong = {"Authorization": "Bearer Secret"}
        assert httpx.get(service.url + "/traffic", headers=wrong).status_code == 401
        assert service.client.traffic()["models"] == {}


def test_tokens_of_a_running_service_and_no_secret_anywhere(tmp_path):
    """Made before the start and while it runs; revoked within two seconds; in no file, log or answer."""
    stores = Stores(tmp_path)
    publish_features(stores)
    make_bundle(stores, "1")
    operator = token(tmp_path, "create", "boss", "--role", "operate")
    secrets = [operator]
    with start_service(tmp_path, workers=2, environment={"FX_SERVING_TOKEN": operator}) as service:
        service.deploy("1")
        desk = token(tmp_path, "create", "desk", "--role", "predict", "--rate", "1000")
        secrets.append(desk)
        with ServingClient(service.url, token=desk) as client:
            wait_until(lambda: attempt(lambda: client.predict("GBP_USD")) == 200)
            assert attempt(client.traffic) == 403
            assert attempt(lambda: client.start_rollout("move_60m", "1")) == 403
            token(tmp_path, "revoke", "desk")
            revoked_at = time.monotonic()
            wait_until(lambda: {attempt(lambda: client.predict("GBP_USD")) for _ in range(8)} == {401})
            assert time.monotonic() - revoked_at < 4, "two seconds, and as much again for a busy machine"
        key = stores.internal_key.read_text()
        secrets.append(key)
        bearer = {"Authorization": f"Bearer {operator}"}
        answers = [
            httpx.get(service.url + path, headers=bearer).text
            for path in ("/health", "/service", "/traffic", "/rollouts", "/audit", "/metrics", "/openapi.json")
        ]
        answers.append(httpx.get(f"{service.url}/traffic", headers={"Authorization": f"Bearer {desk}"}).text)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path != stores.internal_key:
            answers.append(path.read_bytes().decode("latin-1"))
    assert "desk" in "".join(answers), "the name is there"
    for secret in secrets:
        assert not any(secret in answer or secret[17:] in answer for answer in answers)


def token(home, *words: str) -> str:
    """What `fx token` prints."""
    command = [sys.executable, "-m", "fx_serving.cli", "token", *words, "--home", str(home)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=True)
    return done.stdout.strip()


def attempt(call) -> int | None:
    """200, or the status of the refusal."""
    try:
        call()
    except ServiceError as error:
        return error.status
    return 200


def test_a_public_address_with_a_token(tmp_path):
    """Named as this machine reaches it; any host name will do, since a caller needs the token."""
    operator = token(tmp_path, "create", "boss", "--role", "operate")
    settings = {"host": "0.0.0.0", "log": {"ingest": False}}
    with start_service(tmp_path, settings=settings, environment={"FX_SERVING_TOKEN": operator}) as service:
        assert service.url.startswith("http://127.0.0.1:")
        assert httpx.get(service.url + "/traffic", headers={"Host": "fx.example"}).status_code == 401
        named = {"Host": "fx.example", "Authorization": f"Bearer {operator}"}
        assert httpx.get(service.url + "/traffic", headers=named).status_code == 200


def test_a_reload_replaces_one_worker_at_a_time_and_costs_no_answer(tmp_path):
    stores = Stores(tmp_path)
    publish_features(stores)
    make_bundle(stores, "1")
    settings = {"limits": {"drain_s": 1}, "access": {"allowed_hosts": ["a.example"]}}
    with start_service(tmp_path, workers=2, settings=settings) as service:
        service.deploy("1")
        before, controller = service.worker_pids(), service.controller_pid()
        seen: list[set[int]] = []
        with Traffic(service.url) as traffic:
            wait_until(lambda: len(traffic.answers) > 50)
            write_settings(service.home, access={"allowed_hosts": ["b.example"]})
            service.process.send_signal(signal.SIGHUP)

            def replaced() -> bool:
                now = service.worker_pids()
                seen.append(set(now.values()) & set(before.values()))
                return len(now) == 2 and not seen[-1]

            wait_until(replaced)
            answered = len(traffic.answers)
            wait_until(lambda: len(traffic.answers) > answered + 50)
        assert traffic.failures == []
        assert traffic.resets == 0
        assert any(len(old) == 1 for old in seen), "never both at once"
        assert service.controller_pid() == controller
        statuses = {name: httpx.get(f"{service.url}/health", headers={"Host": name}).status_code for name in NAMES}
        assert statuses == {"a.example": 403, "b.example": 200}, "the settings were read again"
        # A file that cannot be used changes nothing.
        (service.home / "config" / "serving.yaml").write_text("prot: 1")
        running = service.worker_pids()
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "no reload" in (service.home / "serve.log").read_text())
        assert service.worker_pids() == running
        assert service.client.predict("GBP_USD")["slot"] == "blue"


STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def children(tmp_path):
    """Two processes that do not end when asked to."""
    started = [Child(name, [sys.executable, "-c", STUBBORN], []) for name in ("w0", "w1")]
    for child in started:
        child.start()
    yield started
    for child in started:
        if child.process is not None:
            child.process.kill()
            child.process.wait()


def pids(children: list[Child]) -> list[int | None]:
    return [child.process.pid if child.process else None for child in children]


def test_a_child_that_does_not_end_in_time_is_killed_and_replaced(children):
    before = pids(children)
    children[0].replace(0.1)
    wait_until(lambda: children[0].keep() or pids(children)[0] not in (None, before[0]))
    assert children[0].alive
    assert pids(children)[1] == before[1]


def test_a_reload_whose_first_successor_does_not_serve_leaves_the_others(children, tmp_path):
    """For example with settings under which no worker can start."""
    before, reload = pids(children), Reload(Stores(tmp_path), ready_s=0.3)
    reload.begin(children, 0.1)

    def given_up() -> bool:
        for child in children:
            child.keep()
        reload.step()
        return not reload.active

    wait_until(given_up)
    assert pids(children)[0] != before[0]
    assert pids(children)[1] == before[1]


def test_a_reload_goes_on_when_the_successor_has_applied_the_table(children, tmp_path):
    stores = Stores(tmp_path)
    stores.workers.mkdir(parents=True)
    stores.routing.write_text('{"generation": 7}')
    before, reload, seen = pids(children), Reload(stores, ready_s=30), []
    reload.begin(children, 0.1)

    def turn(applied: int) -> bool:
        for child in children:
            child.keep()
            if child.process is not None:
                status = {"pid": child.process.pid, "applied_version": applied}
                (stores.workers / f"{child.name}.json").write_text(json.dumps(status))
        reload.step()
        seen.append([new != old for new, old in zip(pids(children), before, strict=True)])
        return not reload.active

    wait_until(lambda: turn(6) or seen[-1] == [True, False])
    for _ in range(20):
        turn(6)
    assert seen[-1] == [True, False], "an old table: it waits"
    wait_until(lambda: turn(7))
    assert seen[-1] == [True, True]


def test_closing_the_terminal_ends_the_service(tmp_path):
    """It comes as the signal that otherwise asks for a reload."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "serving.yaml").write_text("port: 0\nworkers: 1\nlog: {ingest: false}\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "FX_HOME": str(tmp_path)}
    stores = Stores(tmp_path)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "fx_serving.cli", "serve"], environment)
    try:
        wait_until(lambda: stores.address.exists() and list(stores.workers.glob("*.json")))
        (status_file,) = stores.workers.glob("*.json")
        worker = json.loads(status_file.read_text())["pid"]
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert not stores.address.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


NAMES = ("a.example", "b.example")


def write_settings(home, **changes) -> None:
    path = home / "config" / "serving.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **changes}))


def test_a_service_with_tls_rolls_out_and_answers(tmp_path, monkeypatch):
    certificate(tmp_path, "server")
    monkeypatch.setenv("FX_SERVING_CA", str(tmp_path / "server.crt"))
    stores = Stores(tmp_path)
    publish_features(stores)
    for version in ("1", "2"):
        make_bundle(stores, version)
    access = {"tls_cert": str(tmp_path / "server.crt"), "tls_key": str(tmp_path / "server.key")}
    with start_service(tmp_path, settings={"access": access}) as service:
        assert service.url.startswith("https://127.0.0.1:")
        service.deploy("1")
        started = service.client.start_rollout("move_60m", "2", {"steps": [100], "window_s": 0.3, "min_requests": 1})
        # Past the checks of the port.
        wait_until(lambda: service.client.rollout(started["id"])["state"] == "baking")
        service.client.abort_rollout(started["id"])
        # The workers look at their table fifty times a second.
        wait_until(lambda: service.client.predict("GBP_USD")["model_version"] == "1")


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

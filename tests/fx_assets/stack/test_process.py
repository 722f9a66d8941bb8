"""Child processes: waited for, told about with the end of their log, and never left behind."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest

from fx_assets.errors import FxError
from fx_assets.stack import process as module
from fx_assets.stack.memory import MemorySampler
from fx_assets.stack.ports import free_port, holder, require_free
from fx_assets.stack.process import Process
from tests.servers.platform import ROOT, living
from tests.servers.serving import wait_until

#: A server that answers 200 on its port, after a while, and starts a child of its own.
SERVER = """
import subprocess, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("grandchild", grandchild.pid, flush=True)
class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 500)
        self.end_headers()
time.sleep(0.3)
HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


@pytest.fixture
def start(tmp_path):
    """start(code, *arguments) -> a Process of Python code; stopped at the end."""
    started = []

    def run(code: str, *arguments: str) -> Process:
        log = tmp_path / "logs" / f"{len(started)}.log"
        command = [sys.executable, "-c", code, *arguments]
        started.append(Process("helper", command, {"FX_TEST_SAYS": "hello"}, log, tmp_path))
        return started[-1]

    yield run
    for process in started:
        process.stop()


def grandchild_of(process: Process) -> psutil.Process:
    line = wait_until(lambda: process.tail().splitlines()[:1])[0]
    return psutil.Process(int(line.split()[1]))


def test_wait_ready_returns_when_it_answers_and_stop_leaves_nothing(start):
    port = free_port()
    process = start(SERVER, str(port))
    process.wait_ready(f"http://127.0.0.1:{port}/health", 30)
    below = grandchild_of(process)
    assert process.alive()
    process.stop()
    assert not process.alive()
    assert not living([below])
    process.stop()  # twice is harmless


def test_what_a_killed_child_leaves_behind_is_ended_too(start):
    port = free_port()
    process = start(SERVER, str(port))
    below = grandchild_of(process)
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not process.alive())
    assert living([below])
    process.stop()
    assert not living([below])


@pytest.mark.skipif(sys.platform != "linux", reason="who inherits orphans is chosen by a call of Linux's")
def test_what_has_ended_and_is_noted_by_nobody_is_not_waited_for(start):
    """In a container whose first process does not wait for its children; here this process inherits them instead."""
    libc, set_child_subreaper = ctypes.CDLL(None), 36
    assert libc.prctl(set_child_subreaper, 1) == 0
    try:
        process = start(SERVER, "0")
        below = grandchild_of(process)
        began = time.monotonic()
        process.stop()
        assert time.monotonic() - began < module.STOP_S / 2
        assert below.status() == psutil.STATUS_ZOMBIE
    finally:
        libc.prctl(set_child_subreaper, 0)
    os.waitpid(below.pid, 0)


def test_a_child_that_ignores_sigterm_is_killed_in_the_end(start, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.5)
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)"
    process = start(stubborn + "\nwhile True: time.sleep(1)")
    wait_until(lambda: "deaf" in process.tail())
    process.stop()
    assert process.child.returncode == -signal.SIGKILL


def test_a_second_interrupt_ends_the_patience_and_leaves_nothing(start):
    deaf = SERVER.replace("import subprocess, sys, time", "import signal, subprocess, sys, time")
    process = start(deaf.replace("grandchild =", "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ngrandchild =", 1), "0")
    below = grandchild_of(process)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(KeyboardInterrupt):
            process.stop()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not process.alive()
    wait_until(lambda: not living([below]))


def test_a_child_that_ends_is_told_with_its_code_and_last_words(start):
    process = start("import os; print('\\n'.join(f'line {n}' for n in range(40))); raise SystemExit(7)")
    with pytest.raises(FxError) as error:
        process.wait_ready("http://127.0.0.1:9/", 30)
    said = str(error.value)
    assert said.startswith("helper ended with code 7:\n")
    assert "line 39" in said
    assert "line 24\n" not in said  # the end of the log, not all of it
    assert said.endswith(f"Log: {process.log}")


def test_a_child_that_does_not_answer_is_told_with_address_and_time(start):
    port = free_port()
    process = start(SERVER, str(port))
    with pytest.raises(FxError, match=rf"helper did not answer at http://127.0.0.1:{port}/sick within 2 s"):
        process.wait_ready(f"http://127.0.0.1:{port}/sick", 2)


def test_the_environment_reaches_the_child(start):
    process = start("import os; print(os.environ['FX_TEST_SAYS'], os.environ['PATH'] != '')")
    wait_until(lambda: process.tail() == "hello True")


@pytest.mark.skipif(sys.platform != "linux", reason="children are prepared on Linux only")
def test_a_child_can_be_interrupted_where_a_script_started_us_in_the_background(start):
    """A shell without job control starts what ends in & with SIGINT ignored, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    said = "print(s.getsignal(2) is s.default_int_handler, flush=True)"
    try:
        child = start(f"import signal as s, time; {said}; time.sleep(600)")
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(lambda: child.tail() == "True")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_children_stop_when_the_parent_is_killed(tmp_path):
    """kill -9 of `fx up` runs no code of ours: the kernel tells the children."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom fx_assets.stack.process import Process\n"
        "p = Process('child', [sys.executable, '-c', 'import time; time.sleep(600)'], {}, Path(sys.argv[1]), "
        "Path('.'))\nprint(p.pid, flush=True)\ntime.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert living([child])
        parent.kill()
    wait_until(lambda: not living([child]))


def test_the_sampler_counts_what_children_hold():
    hold = "import time; block = bytearray(200 * 2**20); block[::4096] = b'x' * len(block[::4096]); time.sleep(30)"
    with MemorySampler() as alone:
        time.sleep(0.1)
    with MemorySampler() as sampler:
        child = subprocess.Popen([sys.executable, "-c", hold])
        try:
            wait_until(lambda: sampler.peak > alone.peak + 200 * 2**20)
        finally:
            child.kill()
            child.wait()
    assert sampler.peak < alone.peak + 400 * 2**20


def test_a_port_in_use_is_told_with_its_holder():
    with socket.socket() as held:
        held.bind(("0.0.0.0", 0))  # all addresses hold the loopback's too
        held.listen()
        port = held.getsockname()[1]
        assert holder(port) == f"{psutil.Process().name()} (process {os.getpid()})"
        with pytest.raises(FxError, match=rf"port {port} for the UI is in use by .*process {os.getpid()}.*--ui-port"):
            require_free(port, "the UI", "--ui-port")
    assert holder(port) is None
    require_free(port, "the UI", "--ui-port")

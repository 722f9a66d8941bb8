"""Commands that start things, where they must refuse; and what `fx --help` loads."""

import json
import os
import socket
import subprocess
import sys

import pytest

from fx_assets.demo.home import MARKER
from tests.fx_assets.cli.conftest import files_below
from tests.servers.platform import ROOT, environment, fx


@pytest.fixture
def taken():
    """A port that this process listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("option", "what"), [("dagster", "the Dagster UI"), ("serving", "the deployment service"), ("mlflow", "the MLflow")]
)
def test_up_names_who_holds_a_port_and_starts_nothing(tmp_path, taken, option, what):
    done = fx("up", "--home", tmp_path / "home", *free_but(option), f"--{option}-port", str(taken))
    assert done.returncode == 1
    assert f"port {taken} for {what}" in done.stderr
    assert f"(process {os.getpid()})" in done.stderr
    assert f"choose another with --{option}-port" in done.stderr
    assert not (tmp_path / "home").exists()


def free_but(option: str) -> list[str]:
    from fx_assets.stack.ports import free_port

    others = [name for name in ("dagster", "serving", "mlflow") if name != option]
    return [word for name in others for word in (f"--{name}-port", str(free_port()))]


def test_up_refuses_a_port_that_is_none(tmp_path):
    done = fx("up", "--home", tmp_path, "--serving-port", "70000")
    assert done.returncode == 2
    assert "'--serving-port'" in done.stderr
    assert "65535" in done.stderr


def test_demo_leaves_a_folder_that_is_not_its_own_untouched(tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    before = files_below(tmp_path)
    done = fx("demo", "--home", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}: not empty, and not an earlier demo. Name another folder with --home." in done.stderr
    assert files_below(tmp_path) == before


def test_demo_refuses_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    done = fx("demo", "--home", tmp_path / "file")
    assert done.returncode == 1
    assert "is a file. Name a folder" in done.stderr


def test_demo_does_not_empty_a_home_on_which_a_platform_runs(tmp_path):
    import fcntl

    (tmp_path / MARKER).touch()
    (tmp_path / "serving").mkdir()
    with (tmp_path / "serving" / ".lock").open("w") as lock:
        lock.write("4711")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = files_below(tmp_path)
        done = fx("demo", "--home", tmp_path)
    assert done.returncode == 1
    assert "a platform runs on it (process 4711). Stop it" in done.stderr
    assert files_below(tmp_path) == before


def test_help_loads_no_heavy_library():
    probe = (
        "import json, sys\n"
        "from fx_serving.cli import main\n"
        "sys.argv = ['fx', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))\n"
    )
    command = [sys.executable, "-c", probe]
    done = subprocess.run(command, env=environment(), cwd=ROOT, capture_output=True, text=True, check=True)
    *shown, modules = done.stdout.splitlines()
    text = "\n".join(shown)
    for command in ("demo", "up", "backfill", "status", "doctor", "import", "features", "predict", "serve"):
        assert f" {command} " in text
    heavy = {"pandas", "numpy", "dagster", "pyarrow", "mlflow", "xgboost", "feast", "httpx", "pydantic", "psutil"}
    assert not heavy & set(json.loads(modules))


def test_help_of_every_command_has_an_example_or_says_what_it_does():
    for command in ("demo", "up", "backfill", "status", "doctor", "import", "features"):
        done = fx(command, "--help")
        assert done.returncode == 0
        assert "--help" in done.stdout
        assert "Traceback" not in done.stdout + done.stderr

"""Secrets from a folder or a command: what is taken, what is refused, and that no message holds a value."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from fx_serving.client import secret_sources
from fx_serving.client.secret_sources import SecretsError, read_secrets
from tests.servers.platform import FX, ROOT, environment, fx

VALUE = "s3cr3t-value-of-nobody"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """FX_SECRETS_DIR, empty; what is read into the environment is gone after the test."""
    made = tmp_path / "secrets"
    made.mkdir()
    monkeypatch.setattr(os, "environ", Environ(os.environ))
    os.environ["FX_SECRETS_DIR"] = str(made)
    return made


class Environ(dict):
    """A copy of the environment, to be changed."""


def command(tmp_path: Path, printed: str, code: int = 0) -> str:
    script = tmp_path / "manager.py"
    script.write_text(f"import sys\nsys.stdout.write({printed!r})\nsys.stderr.write({VALUE!r})\nsys.exit({code})\n")
    return f"{sys.executable} {script}"


def test_files_become_variables_as_docker_and_kubernetes_write_them(folder, tmp_path):
    (folder / "FX_STATE_URL").write_text(f"postgresql://fx:{VALUE}@db/fx\n")
    (folder / "DESK_KEY").write_text("-----BEGIN-----\nabc\n-----END-----\n")
    hidden = folder / "..data"
    hidden.mkdir()
    (hidden / "OANDA_TOKEN").write_text(VALUE)
    (folder / "OANDA_TOKEN").symlink_to(hidden / "OANDA_TOKEN")
    (folder / "lost+found").mkdir()
    (folder / "notes.txt").write_text("not a variable")
    assert read_secrets() == ["DESK_KEY", "FX_STATE_URL", "OANDA_TOKEN"]
    assert os.environ["FX_STATE_URL"] == f"postgresql://fx:{VALUE}@db/fx"
    assert os.environ["DESK_KEY"] == "-----BEGIN-----\nabc\n-----END-----"
    assert os.environ["OANDA_TOKEN"] == VALUE


def test_the_environment_wins_then_the_folder_then_the_command(folder, tmp_path):
    (folder / "ONE").write_text("folder")
    (folder / "TWO").write_text("folder")
    os.environ |= {
        "ONE": "environment",
        "FX_SECRETS_COMMAND": command(tmp_path, json.dumps({"TWO": "c", "THREE": "c"})),
    }
    assert read_secrets() == ["THREE", "TWO"]
    assert [os.environ[name] for name in ("ONE", "TWO", "THREE")] == ["environment", "folder", "c"]


def test_a_process_that_was_started_does_not_ask_again(folder, tmp_path):
    (folder / "ONE").write_text("1")
    assert read_secrets() == ["ONE"]
    (folder / "TWO").write_text("2")
    assert read_secrets() == []
    other = tmp_path / "other"
    other.mkdir()
    (other / "THREE").write_text("3")
    os.environ["FX_SECRETS_DIR"] = str(other)  # but one that is told another place does
    assert read_secrets() == ["THREE"]
    assert "TWO" not in os.environ


def test_without_a_source_nothing_is_read(folder):
    del os.environ["FX_SECRETS_DIR"]
    before = dict(os.environ)
    assert read_secrets() == []
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "PYTHONPATH", "FX_HOME", "FX_SECRETS_COMMAND", "BASH_ENV"])
def test_what_chooses_the_code_that_runs_is_refused(folder, name):
    (folder / name).write_text("/tmp/evil")
    with pytest.raises(SecretsError, match=f"{name} is no secret"):
        read_secrets()


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"a\0b", "binary"), (b"\xff\xfe", "no UTF-8"), (b"x" * 70_000, "larger")],
)
def test_a_file_that_holds_no_secret_is_named(folder, content, told):
    (folder / "DESK_KEY").write_bytes(content)
    with pytest.raises(SecretsError, match=told) as error:
        read_secrets()
    assert str(folder / "DESK_KEY") in str(error.value)


def test_a_folder_that_is_not_there_is_named(folder):
    folder.rmdir()
    with pytest.raises(SecretsError, match=r"FX_SECRETS_DIR: .*secrets: cannot be read .*Mount the folder"):
        read_secrets()


@pytest.mark.parametrize(
    ("printed", "code", "told"),
    [
        (VALUE, 0, "printed something else"),
        (json.dumps({"A": 1, "B": VALUE}), 0, "printed something else"),
        (json.dumps([VALUE]), 0, "printed something else"),
        ("[" * 100_000, 0, "printed something else"),
        (json.dumps({"A": VALUE}), 3, "ended with code 3"),
        (json.dumps({VALUE: "NAME"}), 0, "a name that cannot be a variable"),
        (json.dumps({"A": VALUE + "\0"}), 0, "A is empty or binary"),
        (json.dumps({"A": VALUE + "\ud800"}), 0, "A is empty or binary"),
        (json.dumps({"A": "x" * 70_000}), 0, "A is larger than"),
    ],
)
def test_a_command_that_fails_is_told_without_what_it_printed(folder, tmp_path, printed, code, told):
    os.environ["FX_SECRETS_COMMAND"] = command(tmp_path, printed, code)
    with pytest.raises(SecretsError, match=told) as error:
        read_secrets()
    assert VALUE not in str(error.value)
    assert "A" not in os.environ


@pytest.mark.parametrize(
    ("command_line", "told"),
    [
        ("'unfinished", "Mend its quotes"),
        ("no-such-program-anywhere", "cannot be started"),
        ("''", "cannot be started"),
        (" # ", "cannot be started"),
        (f"VAULT_TOKEN={VALUE} vault kv get", "does not begin with a program"),
    ],
)
def test_a_command_that_cannot_be_started_is_told(folder, command_line, told):
    os.environ["FX_SECRETS_COMMAND"] = command_line
    with pytest.raises(SecretsError, match=told) as error:
        read_secrets()
    assert VALUE not in str(error.value)


def test_a_command_that_does_not_end_is_given_up(folder, monkeypatch):
    monkeypatch.setattr(secret_sources, "_TIMEOUT_S", 0.2)
    os.environ["FX_SECRETS_COMMAND"] = f"{sys.executable} -c 'import time; time.sleep(60)'"
    with pytest.raises(SecretsError, match=r"did not end within 0\.2 s"):
        read_secrets()


def test_a_command_of_fx_has_them(tmp_path):
    """The address of a server is in a secret file: the command asks that server, and hides the password."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "FX_STATE_URL").write_text(f"postgresql+psycopg2://fx:{VALUE}@127.0.0.1:9/fx")
    done = fx("token", "list", "--home", tmp_path / "home", FX_SECRETS_DIR=str(folder))
    assert done.returncode == 1
    assert "FX_STATE_URL: nobody answers there" in done.stderr
    assert VALUE not in done.stderr + done.stdout


def test_fx_says_what_is_wrong_and_helps_all_the_same(tmp_path):
    done = fx("token", "list", "--home", tmp_path, FX_SECRETS_DIR=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.startswith("FX_SECRETS_DIR: ")
    assert "Traceback" not in done.stderr
    assert fx("token", "list", "--help", FX_SECRETS_DIR=str(tmp_path / "nowhere")).returncode == 0


def test_another_program_has_them_and_takes_the_place_of_fx(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "DESK_KEY").write_text(VALUE)
    asked = 'test "$DESK_KEY" = "$1" && echo "$$ --version" && exit 3'
    command = [*FX, "exec", "sh", "-c", asked, "--", VALUE]
    variables = {**environment(), "FX_SECRETS_DIR": str(folder)}
    process = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    said, _ = process.communicate(timeout=300)
    assert (process.returncode, said) == (3, f"{process.pid} --version\n")
    done = fx("exec", "no-such-program", "--flag")
    assert done.returncode == 1
    assert "fx exec: no-such-program: No such file or directory. Name a program of the PATH" in done.stderr
    done = fx("exec", "sh", FX_SECRETS_DIR=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert done.stderr.startswith("FX_SECRETS_DIR: ")


@pytest.mark.parametrize("package", ["fx_assets", "fx_monitoring"])
def test_code_servers_that_fx_did_not_start_have_them(tmp_path, package):
    """A real process, and one that it starts in turn: what is read is in the environment of both."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "DESK_KEY").write_text(VALUE)
    program = (
        f"import os, subprocess, {package}.definitions as module\n"
        "module.build_definitions = lambda: None\n"
        "loader = module.defs\n"
        "getattr(loader, 'load_fn', loader)()\n"
        "assert os.environ['FX_SECRETS_READ']\n"
        "raise SystemExit(subprocess.run(['sh', '-c', 'test -n \"$DESK_KEY\"']).returncode)"
    )
    variables = {**environment(), "FX_SECRETS_DIR": str(folder), "FX_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", program], env=variables, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_empty_variable_is_left_empty(folder):
    (folder / "FX_STATE_URL").write_text(VALUE)
    os.environ["FX_STATE_URL"] = ""
    assert read_secrets() == []
    assert os.environ["FX_STATE_URL"] == ""


def test_completion_and_bare_fx_ask_nobody(tmp_path):
    missing = str(tmp_path / "nowhere")
    assert "FX_SECRETS_DIR" not in fx(FX_SECRETS_DIR=missing).stderr
    done = fx("tok", FX_SECRETS_DIR=missing, _FX_COMPLETE="complete_bash", COMP_WORDS="fx tok", COMP_CWORD="1")
    assert "FX_SECRETS_DIR" not in done.stderr


def test_files_that_only_their_owner_may_read_are_enough(folder):
    path = folder / "DESK_KEY"
    path.write_text(VALUE)
    path.chmod(stat.S_IRUSR)
    assert read_secrets() == ["DESK_KEY"]

"""The `fx` command as a user runs it."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib.metadata import entry_points

import pytest
import typer

from fx_serving.cli_common import parse_pairs
from fx_serving.client.environment import Finding, write_result
from tests.servers.serving import NAMES, ROOT, make_bundle, wait_until


def start_fx(home, *arguments: str, **environment: str) -> subprocess.Popen:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("FX_")}
    variables |= {"FX_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "160", **environment}
    command = [sys.executable, "-m", "fx_serving.cli", *arguments]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fx(home, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    started = start_fx(home, *arguments, **environment)
    out, err = started.communicate(timeout=120)
    return subprocess.CompletedProcess(started.args, started.returncode, out, err)


def test_predict_finds_the_running_service_by_its_address_file(service):
    done = fx(service.home, "predict", "GBP_USD", "--feature", "rsi_14=2.5")
    assert done.returncode == 0, done.stderr
    for word in ("GBP_USD at 2022-03-04T22:00:00Z", "move_60m version 1, blue", f"{len(NAMES)} values"):
        assert word in done.stdout
    assert "rsi_14" not in done.stdout
    done = fx(service.home, "predict", "GBP_USD", "--feature", "rsi_14=2.5", "--show-features")
    assert re.search(r"rsi_14 +│ +2\.5 ", done.stdout)
    assert all(name in done.stdout for name in NAMES)
    raw = json.loads(fx(service.home, "predict", "GBP_USD", "--json").stdout)
    assert raw["model_version"] == "1"
    done = fx(service.home, "feedback", raw["prediction_id"], "--direction", "1")
    assert "recorded as" in done.stdout


def test_errors_are_one_line_and_a_code(service):
    done = fx(service.home, "predict", "XAU_USD")
    assert done.returncode == 1
    assert "is not served by model move_60m" in done.stderr
    assert "Traceback" not in done.stderr
    done = fx(service.home, "predict", "GBP_USD", "--feature", "rsi_14")
    assert done.returncode == 2
    assert "name=value" in done.stderr


def test_values_of_a_policy_may_be_words_and_no_value_is_nan():
    words = ["supersede=queued", "experiment_metric=sharpe", "window_s=30", "max_p99_ms=null", "steps=[10,100]"]
    assert parse_pairs(words, "--policy", words=True) == {
        "supersede": "queued", "experiment_metric": "sharpe", "window_s": 30, "max_p99_ms": None, "steps": [10, 100],
    }  # fmt: skip
    for bad in ("x=NaN", "x=-Infinity", "x=Infinity", "x=two words", "x=[10,", "x="):
        for words_too in (False, True):
            with pytest.raises(typer.BadParameter, match="is not a number"):
                parse_pairs([bad], "--policy", words=words_too)
    with pytest.raises(typer.BadParameter, match="is not a number"):
        parse_pairs(["rsi_14=high"], "--feature")


def test_nothing_running_says_how_to_start_it(tmp_path):
    done = fx(tmp_path, "traffic", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "fx serve" in done.stderr


def test_rollouts_from_the_terminal(service):
    make_bundle(service.stores, "cli")
    done = fx(service.home, "rollout", "start", "move_60m", "cli", "--policy", "window_s=600", "--json")
    assert done.returncode == 0, done.stderr
    rollout = json.loads(done.stdout)
    assert rollout["policy"]["window_s"] == 600
    assert "move_60m" in fx(service.home, "traffic").stdout
    assert rollout["id"] in fx(service.home, "rollout", "status").stdout
    assert "aborted" in fx(service.home, "rollout", "abort", rollout["id"], "--reason", "enough").stdout
    assert "enough" in fx(service.home, "rollout", "status", rollout["id"]).stdout
    write_result(service.stores, [Finding(False, "no disk", "free some")])
    before = service.client.rollouts()
    held = fx(service.home, "rollout", "start", "move_60m", "cli")
    assert held.returncode == 1
    assert "failed, so trading steps do not run: no disk: free some." in held.stderr
    assert "To roll out all the same: --anyway." in held.stderr
    assert service.client.rollouts() == before, "nothing was asked"
    dry = fx(service.home, "rollout", "start", "move_60m", "cli", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    fx(service.home, "rollout", "abort", json.loads(dry.stdout)["id"])
    anyway = fx(service.home, "rollout", "start", "move_60m", "cli", "--anyway", "--json")
    assert anyway.returncode == 0, anyway.stderr
    fx(service.home, "rollout", "abort", json.loads(anyway.stdout)["id"])
    write_result(service.stores, [])
    (service.stores.bundles / "move_60m" / "cli" / "model.onnx").write_bytes(b"")
    waited = fx(service.home, "rollout", "start", "move_60m", "cli", "--wait")
    assert waited.returncode == 1
    assert "bundle refused" in waited.stdout


def test_a_rollout_is_steered_from_the_terminal(service):
    make_bundle(service.stores, "steered")
    steps = 'steps=[{"weight":25,"window_s":600},100]'
    done = fx(service.home, "rollout", "start", "move_60m", "steered", "--policy", steps, "--reason", "try", "--json")
    assert done.returncode == 0, done.stderr
    id = json.loads(done.stdout)["id"]
    wait_until(lambda: service.client.rollout(id)["state"] == "canary")
    assert "paused" in fx(service.home, "rollout", "pause", "--reason", "look [closer]").stdout
    shown = fx(service.home, "rollout", "status", id).stdout
    assert "paused: look [closer]  [local]" in shown
    assert "canary  25 %  paused" in fx(service.home, "traffic", "set", "move_60m", "25", "--reason", "same").stdout
    assert service.client.rollout(id)["weight"] == 25
    done = fx(service.home, "traffic", "set", "move_60m", "101")
    assert done.returncode == 2
    assert "0 and 100" in done.stderr
    assert "paused" not in fx(service.home, "rollout", "resume").stdout.splitlines()[0]
    done = fx(service.home, "rollout", "approve")
    assert done.returncode == 1
    assert "waits for no approval" in done.stderr
    watching = start_fx(service.home, "rollout", "watch", id)
    assert fx(service.home, "rollout", "promote", "--reason", "good").returncode == 0
    out, err = watching.communicate(timeout=120)
    assert watching.returncode == 0, err
    assert "promoted: good" in out
    done = fx(service.home, "rollout", "rollback", "--model", "move_60m", "--reason", "it was not")
    assert "version 1 answers again, in place of steered" in done.stdout
    wait_until(lambda: service.client.predict("GBP_USD")["model_version"] == "1")
    done = fx(service.home, "rollout", "rollback")
    assert done.returncode == 1
    assert "no rollout runs; give a rollout's id, or --model" in done.stderr
    assert fx(service.home, "rollout", "rollback", id[:8], "--model", "move_60m").returncode == 2
    assert id in fx(service.home, "rollout", "status", id[:8]).stdout
    done = fx(service.home, "rollout", "abort")
    assert done.returncode == 1
    assert "no rollout runs" in done.stderr
    shown = fx(service.home, "audit", "show", "--model", "move_60m").stdout
    assert "look [closer]" in shown
    records = json.loads(fx(service.home, "audit", "show", "--json").stdout)
    reasons = " | ".join(record["why"] for record in records if record["actor"] == "local")
    assert reasons.index("promoted: good") < reasons.index("it was not")


def test_the_audit_trail_is_verified_with_and_without_a_service(service, tmp_path):
    asked = fx(service.home, "audit", "verify", "--url", service.url)
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.startswith("whole: ")
    (tmp_path / "serving").mkdir()
    shutil.copy(service.stores.audit_head, tmp_path / "serving")
    with (
        closing(sqlite3.connect(service.stores.state_db)) as source,
        closing(sqlite3.connect(tmp_path / "serving" / "state.db")) as copy,
    ):
        source.backup(copy)
    own = json.loads(fx(tmp_path, "audit", "verify", "--json").stdout)
    assert own["whole"]
    with closing(sqlite3.connect(tmp_path / "serving" / "state.db")) as db, db:
        db.execute("UPDATE audit SET why = 'all went well' WHERE seq = 2")
    broken = fx(tmp_path, "audit", "verify")
    assert broken.returncode == 1
    assert broken.stdout.startswith("record 2: ")
    (tmp_path / "serving" / "state.db").rename(tmp_path / "moved.db")
    gone = fx(tmp_path, "audit", "verify")
    assert gone.returncode == 1
    assert gone.stdout.startswith("record 1: record 1 is missing")
    nowhere = fx(tmp_path / "mistyped", "audit", "verify")
    assert nowhere.returncode == 1
    assert "no trail is here" in nowhere.stderr
    (tmp_path / "serving" / "state.db").write_bytes(b"not a database" * 100)
    unread = fx(tmp_path, "audit", "verify")
    assert unread.returncode == 1
    assert "Traceback" not in unread.stderr


_LOADED = """
import sys
sys.argv = ["fx", "--help"]
from fx_serving.cli import main
try:
    main()
finally:
    print(sorted({m.split(".")[0] for m in sys.modules}))
"""


def test_help_teaches_and_stays_light(tmp_path):
    done = subprocess.run([sys.executable, "-c", _LOADED], cwd=ROOT, capture_output=True, text=True, check=False)
    for word in ("serve", "predict", "rollout", "traffic", "feedback", "fx predict GBP_USD"):
        assert word in done.stdout
    loaded = done.stdout.splitlines()[-1]
    for heavy in ("pandas", "dagster", "fastapi", "uvicorn", "onnxruntime", "numpy", "httpx"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize("kind", ["app", "function", "broken", "missing"])
def test_commands_of_other_packages(tmp_path, kind):
    (tmp_path / "extra.py").write_text(
        "import typer\napp = typer.Typer()\n@app.command()\ndef ingest(): 'Bring data in.'; print('ingested')\n"
        "def register(target): target.command()(ingest)\ndef fail(target): raise ValueError('no luck')\n"
    )
    value = {"app": "extra:app", "function": "extra:register", "broken": "extra:fail", "missing": "absent:app"}[kind]
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[fx.commands]\nextra = {value}\n")
    done = fx(tmp_path, "--help", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert done.returncode == 0, done.stderr
    assert ("ingest" in done.stdout) == (kind in ("app", "function"))
    assert ("no luck" in done.stderr) == (kind == "broken")
    if kind in ("app", "function"):
        assert "ingested" in fx(tmp_path, "ingest", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}").stdout
    if kind == "missing":
        there = any(point.name == "platform" for point in entry_points(group="fx.commands"))
        assert ("fx-platform[platform]" in " ".join(done.stdout.split())) != there

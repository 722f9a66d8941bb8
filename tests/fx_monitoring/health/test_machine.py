"""The machine's tiers, on this machine; and programs that are not there."""

import os
import sqlite3
from datetime import UTC, datetime

import dagster as dg
import pytest

from fx_assets.configuration import load_configuration
from fx_assets.lake import Lake
from fx_assets.partitions import fx_sessions
from fx_assets.resources.home import HomeResource
from fx_assets.stack.ports import free_port
from fx_monitoring.assets import health
from fx_monitoring.assets.common import Shared
from fx_monitoring.configuration.health import Health as Policy
from fx_monitoring.configuration.health import Limits
from fx_monitoring.health import machine
from fx_monitoring.health.tiers import latest_infrastructure
from fx_serving.client.home import Stores

POLICY = Policy()


def test_this_machine_has_memory_and_a_disk(tmp_path):
    assert machine.judge_memory(POLICY).value == pytest.approx(50, abs=50)
    assert machine.judge_load(POLICY).status in ("GREEN", "YELLOW", "RED")
    disk = machine.judge_disk(tmp_path / "not" / "made" / "yet", POLICY)
    assert isinstance(disk.value, float)
    nearly = Policy(disk_free_pct=Limits(yellow=100, red=100))
    assert machine.judge_disk(tmp_path, nearly).status == "RED"


def nvidia(folder, script: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_card_is_told_as_nvidias_tool_tells_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.judge_gpu() is None
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin:/usr/bin")
    nvidia(tmp_path, 'echo "0, 35, 1200, 8192, 61"; echo "1, 80, 4000, 8192, 70"')
    tier = machine.judge_gpu()
    assert tier is not None
    assert (tier.status, tier.value) == ("GREEN", 80.0)
    assert tier.why.startswith("card 0: 35 % busy, 1200 of 8192 MiB, 61 degrees; card 1")
    for broken in ("exit 9", "echo nonsense", 'echo "0, [N/A], 1, 1, 1"'):
        nvidia(tmp_path, broken)
        tier = machine.judge_gpu()
        assert tier is not None
        assert tier.status == "YELLOW", broken


def test_what_is_not_in_use_has_no_tier(tmp_path, monkeypatch):
    for name in (machine.REDIS, machine.POSTGRES, machine.MLFLOW):
        monkeypatch.delenv(name, raising=False)
    assert machine.judge_redis() is machine.judge_postgres() is machine.judge_mlflow(Stores(tmp_path)) is None


def test_what_does_not_answer_is_red_and_its_address_is_not_told(monkeypatch):
    monkeypatch.setenv(machine.REDIS, f"redis://:secret-word@127.0.0.1:{free_port()}/0")
    monkeypatch.setenv(machine.POSTGRES, f"postgresql://fx:secret-word@127.0.0.1:{free_port()}/fx")
    for tier in (machine.judge_redis(), machine.judge_postgres()):
        assert tier is not None
        assert tier.status == "RED"
        assert "secret-word" not in f"{tier}"


def test_the_registrys_database(tmp_path):
    stores = Stores(tmp_path)
    path = tmp_path / "mlflow" / "mlflow.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE model_versions (name)")
    tier = machine.judge_mlflow(stores)
    assert tier is not None
    assert (tier.status, tier.value) == ("GREEN", 0.0)
    path.write_bytes(b"x" * 1000)
    tier = machine.judge_mlflow(stores)
    assert tier is not None
    assert tier.status == "RED"


def test_the_asset_writes_what_it_saw(tmp_path, monkeypatch):
    monkeypatch.setenv("FX_SERVING_URL", "http://127.0.0.1:9")
    for name in (machine.REDIS, machine.POSTGRES, machine.MLFLOW):
        monkeypatch.delenv(name, raising=False)
    configuration = load_configuration()
    shared = Shared(fx_sessions(configuration), configuration, Stores(tmp_path), Lake(tmp_path / "lake"))
    asset = next(a for a in health.build(shared) if a.key.path[-1] == "infrastructure_health")
    began = datetime.now(UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([asset], resources={"home": HomeResource(path=str(tmp_path))}, instance=instance)
    assert result.success
    found = latest_infrastructure(Stores(tmp_path))
    assert found is not None
    assert found.at >= began
    assert {"cpu", "memory", "disk", "service", "daemon", "queue"} <= {tier.name for tier in found.tiers}
    assert found.status == "RED", "no service answers"

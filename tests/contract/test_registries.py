"""The model registry in a file of the home and in a PostgreSQL (FX_MLFLOW_URL): one life, one set of words."""

import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from fx_assets.errors import StoreError
from fx_assets.models import champion, promotion, registry
from fx_assets.resources.tracking import VARIABLE, database_file, prepare
from fx_assets.stack.ports import free_port
from fx_assets.stack.stack import Ports, Stack
from fx_monitoring.health.machine import judge_mlflow
from fx_serving.client.home import Stores
from fx_serving.client.state_address import connect
from tests.fx_assets.backup.homes import back_up, bring_back
from tests.fx_assets.cli.conftest import files_below
from tests.fx_assets.models.registered import MODEL, SMALL_MODELS, register, rows_for, spec_for
from tests.fx_assets.small import configuration_of, write_config
from tests.servers.platform import ROOT, command_of, descendants, environment
from tests.servers.postgres import PASSWORD, PostgresServer, restartable_postgres

WHO: Any = {"reason": "better", "actor": "tester"}
PREPARE = (
    "import sys; from pathlib import Path; from fx_assets.resources.tracking import prepare; prepare(Path(sys.argv[1]))"
)


@pytest.fixture(scope="module")
def server(program) -> Iterator[PostgresServer]:
    program("pg_dump", "postgresql-client")
    with restartable_postgres(program) as server:
        yield server


def empty(server: PostgresServer) -> str:
    """The address of an empty database: a new name each time, since MLflow remembers whose tables it has made."""
    name = f"registry_{uuid.uuid4().hex}"
    with closing(connect(server.url)) as db, db.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    return server.url.removesuffix("/postgres") + f"/{name}"


@pytest.fixture
def postgres(server: PostgresServer, tmp_path: Path, monkeypatch) -> Stores:
    monkeypatch.setenv(VARIABLE, empty(server))
    return Stores(tmp_path / "home")


@pytest.fixture(params=["file", pytest.param("postgres", marks=pytest.mark.server)])
def stores(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch) -> Stores:
    """A home whose registry is empty: each kind in turn."""
    monkeypatch.delenv(VARIABLE, raising=False)
    return request.getfixturevalue("postgres") if request.param == "postgres" else Stores(tmp_path / "home")


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch):
    return configuration_of(write_config(tmp_path / "config", models=SMALL_MODELS), monkeypatch)


def with_two_versions(stores: Stores, configuration) -> None:
    """The second is champion."""
    rows, spec = rows_for(configuration, 400), spec_for(configuration)
    for _ in range(2):
        register(stores.home, configuration, rows, spec)
    for version in ("1", "2"):
        promotion.promote(stores, MODEL, version, **WHO)


def test_versions_live_and_are_read(stores, configuration):
    with_two_versions(stores, configuration)
    assert database_file(stores.home).exists() == (registry.database() is None)
    assert [found.version for found in registry.records(stores, MODEL)] == ["2", "1"]
    found = champion.load(stores, MODEL)
    assert found is not None
    assert found.version == "2"
    rows = rows_for(configuration, 5, seed=2)[found.features].to_numpy()
    assert len(champion.predictor(stores, found.record).predict(rows)) == 5
    promotion.rollback(stores, MODEL, **WHO)
    assert registry.aliases(registry.open_registry(stores.home), MODEL)["champion"] == "1"
    tier = judge_mlflow(stores)
    assert tier is not None
    assert (tier.status, tier.value) == ("GREEN", 2.0)


def test_mlflows_own_pages_have_them_and_its_command_line_tells_nothing(stores, configuration):
    register(stores.home, configuration, rows_for(configuration, 400), spec_for(configuration))
    ports = Ports(dagster=None, serving=None, mlflow=free_port())
    with Stack(stores.home, configuration, ports) as stack:
        stack.start()
        stack.wait_ready()
        asked = stack.addresses["MLflow"] + "/api/2.0/mlflow/registered-models/get"
        answer = httpx.get(asked, params={"name": MODEL}, timeout=60, trust_env=False).json()
        assert answer["registered_model"]["latest_versions"][0]["version"] == "1"
        every = [psutil.Process(stack.processes[0].pid), *descendants(stack.processes[0].pid)]
        assert not [line for line in map(command_of, every) if PASSWORD in line]


@pytest.mark.server
def test_several_processes_at_once_make_the_tables_of_an_empty_database(postgres, server):
    variables = environment(**{VARIABLE: empty(server)})
    command = [sys.executable, "-c", PREPARE, str(postgres.home)]
    made = [subprocess.Popen(command, env=variables, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(process.communicate(timeout=600)[1], process.returncode) for process in made]
    assert [said for said, code in ended if code] == []
    client = registry.open_registry(postgres.home)
    assert [found.name for found in client.search_experiments()].count("fx") == 1


@pytest.mark.server
def test_a_server_that_is_away_is_said_at_once_and_without_the_address(postgres, server, configuration):
    with_two_versions(postgres, configuration)
    client = registry.open_registry(postgres.home)
    server.stop()
    try:
        began = time.monotonic()
        for ask in (lambda: champion.load(postgres, MODEL), lambda: registry.aliases(client, MODEL)):
            with pytest.raises(StoreError, match="FX_MLFLOW_URL: nobody answers there") as told:
                ask()
            assert PASSWORD not in str(told.value)
            assert "127.0.0.1" not in str(told.value)
        assert time.monotonic() - began < 60  # MLflow by itself tries for 100 s
        tier = judge_mlflow(postgres)
        assert tier is not None
        assert tier.status == "RED"
        assert PASSWORD not in f"{tier}"
    finally:
        server.start()
    found = champion.load(postgres, MODEL)
    assert found is not None
    assert found.version == "2"


@pytest.mark.server
def test_a_backup_brings_runs_and_champion_back_into_an_empty_database(
    postgres, server, configuration, tmp_path, monkeypatch
):
    with_two_versions(postgres, configuration)
    where = str(tmp_path / "backups")
    before = champion.load(postgres, MODEL)
    back_up(postgres.home, where)
    promotion.rollback(postgres, MODEL, **WHO)  # what happens later is not in it
    with pytest.raises(StoreError, match="FX_MLFLOW_URL: the database has MLflow's tables already"):
        bring_back(where, tmp_path / "back")

    monkeypatch.setenv(VARIABLE, empty(server))
    restored = Stores(bring_back(where, tmp_path / "back"))
    shutil.rmtree(postgres.home)  # nothing of it is needed
    found = champion.load(restored, MODEL)
    assert before is not None
    assert found is not None
    assert (found.record.tags, found.version) == (before.record.tags, "2")
    rows = rows_for(configuration, 5, seed=2)[found.features].to_numpy()
    assert len(champion.predictor(restored, found.record).predict(rows)) == 5
    register(restored.home, configuration, rows_for(configuration, 400), spec_for(configuration))
    assert [version.version for version in registry.records(restored, MODEL)] == ["3", "2", "1"]

    monkeypatch.delenv(VARIABLE)
    with pytest.raises(StoreError, match="FX_MLFLOW_URL: not set, and the backup holds MLflow's runs"):
        bring_back(where, tmp_path / "third")
    found = files_below(tmp_path / "backups") | files_below(restored.home)
    assert not [name for name, content in found.items() if PASSWORD.encode() in content]


def test_what_is_no_postgresql_is_refused(tmp_path, monkeypatch):
    for address in ("http://mlflow:5000", f"mysql://fx:{PASSWORD}@db/fx"):
        monkeypatch.setenv(VARIABLE, address)
        with pytest.raises(StoreError, match="FX_MLFLOW_URL: is no address of a PostgreSQL") as told:
            prepare(tmp_path)
        assert PASSWORD not in str(told.value)
    assert not list(tmp_path.iterdir())

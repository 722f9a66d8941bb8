"""The whole main job in containers: brought up, killed one by one meanwhile, taken down, and nothing lost or left."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.compose.conftest import Composed
from tests.compose.engine import AGAIN_S, Killer, docker, is_well, kill, left, runs, services
from tests.counts import count

pytestmark = [pytest.mark.docker, pytest.mark.timeout(5400)]
PUBLISHED = {"proxy"}
#: The engine's socket is root on the host: who starts and ends containers has it.
WITH_ENGINE = {"daemon", "webserver"}
ENDED = ("SUCCESS", "FAILURE", "CANCELED")


def query(database: str, statement: str) -> list[list[str]]:
    """Rows of a statement, as PostgreSQL's administrator."""
    ask = f'PGPASSWORD=$(cat /run/secrets/POSTGRES_PASSWORD) psql -At -h 127.0.0.1 -U postgres -d {database} -c "$Q"'
    told = docker("exec", "-e", f"Q={statement}", services()["postgres"]["Id"], "bash", "-c", ask)
    return [line.split("|") for line in told.splitlines()]


def secrets(composed: Composed) -> dict[str, str]:
    return {path.name: path.read_text() for path in (composed.folder / "secrets").iterdir() if path.is_file()}


def client(composed: Composed, who: str | None = None) -> httpx.Client:
    """A client of the UI's port, with the password of a person."""
    folder = composed.folder / "secrets"
    auth = (who, (folder / f"{who.upper()}_PASSWORD").read_text()) if who else None
    trust = ssl.create_default_context(cafile=folder / "proxy.crt")
    url = f"https://localhost:{composed.environment['FX_UI_PORT']}"
    return httpx.Client(base_url=url, auth=auth, verify=trust, trust_env=False, timeout=60)


def test_every_service_is_well_and_has_no_more_rights_than_it_needs(composed):
    found = services()
    assert len(found) == 17
    for name, one in found.items():
        if name in ("initialise", "grafana"):  # Debian has no Grafana
            assert one["State"]["ExitCode"] == 0
            continue
        assert is_well(one), name
        assert one["HostConfig"]["ReadonlyRootfs"], name
        assert one["HostConfig"]["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in one["HostConfig"]["SecurityOpt"], name
        assert one["Config"]["User"].partition(":")[0] not in ("", "0", "root"), name
        assert one["HostConfig"]["Memory"] > 0, name
        assert bool(one["HostConfig"]["PortBindings"]) == (name in PUBLISHED), name
        mounts = {mount["Destination"] for mount in one["Mounts"]}
        assert ("/var/run/docker.sock" in mounts) == (name in WITH_ENGINE), name


def test_stores_have_no_way_out_and_the_door_reaches_no_store(composed):
    found = services()
    networks = {name: set(one["NetworkSettings"]["Networks"]) for name, one in found.items()}
    assert json.loads(docker("network", "inspect", "fx_store"))[0]["Internal"]
    assert json.loads(docker("network", "inspect", "fx_serving-store"))[0]["Internal"]
    assert networks["postgres"] == networks["redis"] == {"fx_store", "fx_serving-store"}
    assert networks["s3"] == {"fx_store"}
    assert not networks["proxy"] & {"fx_store", "fx_serving-store"}


def test_what_answers_predictions_cannot_reach_what_runs_code(composed):
    """Code servers, the UI without a password and MLflow: by name and by each of their addresses."""
    found = services()
    may = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3)"

    def reaches(name: str, host: str, port: int) -> bool:
        command = ["docker", "exec", found[name]["Id"], "python", "-c", may, host, str(port)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    ports = {"fx-assets": 4000, "fx-monitoring": 4000, "webserver": 3000, "viewer": 3000, "mlflow": 5000}
    for target, port in ports.items():
        addresses = [one["IPAddress"] for one in found[target]["NetworkSettings"]["Networks"].values()]
        for host in (target, *addresses):
            assert reaches("daemon", host, port), "what can be reached where it is meant to be"
            assert not reaches("serving-a", host, port), (target, host)
            assert not reaches("exporter", host, port), (target, host)
    assert reaches("serving-a", "postgres", 5432)


def test_the_door_asks_who_is_there(composed):
    ask = {"query": "{ version permissions { permission value } }"}
    with client(composed) as nobody:
        assert nobody.post("/graphql", json=ask).status_code == 401
    may = {}
    for who in ("operator", "viewer"):
        with client(composed, who) as person:
            told = person.post("/graphql", json=ask).json()["data"]["permissions"]
            may[who] = {one["permission"] for one in told if one["value"]}
            assert person.get("/mlflow/").status_code == (200 if who == "operator" else 403)
    assert "launch_pipeline_execution" in may["operator"]
    assert "launch_pipeline_execution" not in may["viewer"]
    trust = ssl.create_default_context(cafile=composed.folder / "secrets" / "proxy.crt")
    predictions = f"https://localhost:{composed.environment['FX_PREDICTIONS_PORT']}"
    assert httpx.get(f"{predictions}/status", verify=trust, trust_env=False).status_code == 401


def test_a_page_elsewhere_cannot_ask_with_the_password_of_a_browser(composed):
    ask = {"query": "{ version }"}
    with client(composed, "operator") as operator:
        own = {"Origin": str(operator.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        assert operator.post("/graphql", json=ask, headers=own).status_code == 200
        assert operator.post("/graphql", json=ask, headers={"Origin": "https://elsewhere.example"}).status_code == 403
        for site in ("cross-site", "same-site"):
            assert operator.get("/graphql", params=ask, headers={"Sec-Fetch-Site": site}).status_code == 403
        search = "/mlflow/ajax-api/2.0/mlflow/experiments/search"
        assert operator.post(search, json={"max_results": 1}, headers=own).status_code == 200
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert operator.post(search, json={"max_results": 1}, headers=elsewhere).status_code == 403


def test_each_database_knows_its_own_user_alone(composed):
    databases = ("dagster", "mlflow", "feast", "serving")
    for user in databases:
        for database in databases:
            may = query("postgres", f"select has_database_privilege('{user}', '{database}', 'CONNECT')")
            assert may == [["t" if user == database else "f"]], (user, database)
    roles = query("postgres", "select rolname from pg_roles where rolsuper or rolcreatedb or rolcreaterole")
    assert roles == [["postgres"]]


def test_the_demo_survives_that_each_container_is_killed(composed):
    with Killer(seed=8, pause_s=10) as killer:
        done = composed.fx("demo", "--against", "compose")
    print("killed:", *killer.killed)
    assert killer.failure is None
    assert done.returncode == 0, done.stdout[-4000:]
    summary = json.loads((composed.folder / "home" / "demo" / "summary.json").read_bytes())
    seen = [summary["traffic"]["during_rollout"], *summary["traffic"]["replayed"].values()]
    assert [(counts["failed"], counts["errors"]) for counts in seen] == [(0, [])] * 3
    assert set(killer.killed) >= {name for name, one in services().items() if one["State"]["Running"]} | {"run"}
    assert query("dagster", "select count(*) from run_tags where key = 'dagster/auto_retry_run_id'") != [["0"]]


def test_a_backfill_in_several_containers_loses_and_repeats_none(composed):
    """Silver and gold of some sessions, made by one run, are made again by several; PostgreSQL is killed meanwhile."""
    lake = composed.folder / "home" / "lake"
    # Automation goes on with the newest ones meanwhile.
    sessions = sorted(path.name for path in (lake / "gold" / "features").iterdir())[:-5][-count("compose_sessions") :]
    before = contents(lake, sessions)
    assert len(before) == len(sessions) * len(list(lake.glob("silver/*")) + list(lake.glob("gold/*")))
    for path in before:
        shutil.rmtree(path.parent)
    began = query("dagster", "select max(id) from event_logs")[0][0]
    first, last = (name.removeprefix("session=") for name in (sessions[0], sessions[-1]))
    command = ["backfill", "--from", first, "--to", last, "--launch", "http://webserver:3000", "--processes", "4"]
    at_once = 0
    with subprocess.Popen(["docker", "exec", "fx-daemon", "fx", "exec", "fx", *command], stdout=-1, stderr=-2) as run:
        killed = False
        while run.poll() is None:
            at_once = max(at_once, len(runs()))
            if at_once > 1 and not killed:
                kill(services()["postgres"])
                killed = True
            time.sleep(0.5)
        told = run.stdout.read().decode() if run.stdout else ""
    assert run.returncode == 0, told[-4000:]
    assert killed
    assert contents(lake, sessions) == before
    made = query(
        "dagster",
        "select asset_key, partition, count(*) from event_logs"
        f" where id > {began} and dagster_event_type = 'ASSET_MATERIALIZATION' and partition is not null"
        " and run_id in (select run_id from run_tags where key = 'fx/command' and value = 'backfill') group by 1, 2",
    )
    assert {times for _, _, times in made} == {"1"}
    keys = {name.removeprefix("session=") for name in sessions}
    assert len([0 for _, partition, _ in made if partition in keys]) == len(before)
    # Labels look ahead: those of the session before were made of candles that had gone.
    assert {asset for asset, partition, _ in made if partition not in keys} <= {'["gold", "labels"]'}


def contents(lake: Path, sessions: list[str]) -> dict[Path, str]:
    """A hash of each file of the sessions' silver and gold."""
    paths = [
        path for name in sessions for layer in ("silver", "gold") for path in lake.glob(f"{layer}/*/{name}/*.parquet")
    ]
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_each_step_of_a_job_may_have_a_container(composed):
    features = composed.folder / "home" / "lake" / "gold" / "features"
    session = max(path.name for path in features.iterdir()).removeprefix("session=")
    ask = {
        "query": "mutation M($p: ExecutionParams!) { launchPipelineExecution(executionParams: $p) {"
        " __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }",
        "variables": {
            "p": {
                "mode": "default",
                "selector": {
                    "repositoryLocationName": "fx_assets",
                    "repositoryName": "__repository__",
                    "pipelineName": "tables_in_containers",
                },
                "executionMetadata": {"tags": [{"key": "dagster/partition", "value": session}]},
            }
        },
    }
    with client(composed, "operator") as operator:
        run = operator.post("/graphql", json=ask).json()["data"]["launchPipelineExecution"]["run"]["runId"]
        deadline = time.monotonic() + AGAIN_S
        while (status := query("dagster", f"select status from runs where run_id = '{run}'")[0][0]) not in ENDED:
            assert time.monotonic() < deadline, status
            time.sleep(1)
    assert status == "SUCCESS"
    started = query(
        "dagster",
        f"select count(*) from event_logs where run_id = '{run}' and dagster_event_type = 'STEP_WORKER_STARTING'",
    )
    assert int(started[0][0]) >= 9


def test_no_secret_is_in_logs_or_in_what_the_engine_knows(composed):
    values = {
        name: value.strip() for name, value in secrets(composed).items() if name not in ("proxy.crt", "redis.acl")
    }
    values = {name: value for name, value in values.items() if "\n" not in value}
    assert len(values) > 15
    known = docker("inspect", *[one["Id"] for one in services().values()])
    texts = {"inspect": known}
    for name, one in services().items():
        texts[name] = subprocess.run(["docker", "logs", one["Id"]], stdout=-1, stderr=-2, text=True, check=False).stdout
    for path in (composed.folder / "home").rglob("*"):
        if path.is_file() and path.suffix in (".log", ".err", ".out", ".json", ".yaml", ""):
            texts[str(path)] = path.read_bytes().decode(errors="replace")
    events = query("dagster", "select event from event_logs")
    texts["events"] = "\n".join("|".join(row) for row in events)
    for where, text in texts.items():
        assert not [name for name, value in values.items() if value in text], where


def test_down_leaves_the_folder_and_nothing_else(composed):
    done = composed.make("down")
    assert done.returncode == 0, done.stdout[-4000:]
    assert not left()
    assert (composed.folder / "postgres" / "pgdata" / "PG_VERSION").is_file()

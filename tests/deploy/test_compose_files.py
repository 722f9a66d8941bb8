"""The composed platform's files, without an engine: secrets are made once, settings agree, rights are few."""

from __future__ import annotations

import os
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fx_assets.runs.containers import SOCKET, like
from tests.servers.platform import ROOT

COMPOSE = ROOT / "deploy" / "compose"
#: What differs between the two files of Dagster's settings; everything else must be equal.
OWN = {"storage", "run_launcher", "run_coordinator", "local_artifact_storage", "compute_logs"}


def prepare(folder: Path) -> str:
    command = [sys.executable, COMPOSE / "prepare.py", folder]
    return subprocess.run(command, check=True, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}).stdout


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("composed") / "folder"
    prepare(made)
    return made


def test_passwords_are_made_once_and_no_two_are_the_same(folder):
    secrets = contents(folder / "secrets")
    passwords = [value for name, value in secrets.items() if name.endswith(("_PASSWORD", "_TOKEN", "_KEY_ID", "_KEY"))]
    assert len(set(passwords)) == len(passwords) >= 12
    assert all(len(value) >= 32 for value in passwords)
    assert prepare(folder) == ""
    assert contents(folder / "secrets") == secrets


def test_a_password_that_is_missing_is_made_and_the_others_stay(folder):
    before = contents(folder / "secrets")
    (folder / "secrets" / "GRAFANA_PASSWORD").unlink()
    assert "GRAFANA_PASSWORD" in prepare(folder)
    after = contents(folder / "secrets")
    assert {name for name in before if before[name] != after[name]} == {"GRAFANA_PASSWORD"}


def test_nobody_else_can_enter_the_secrets(folder):
    assert stat.S_IMODE((folder / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "settings.env").stat().st_mode) == 0o600
    assert not [
        value for value in contents(folder / "secrets").values() if value in (folder / "settings.env").read_text()
    ]


def test_the_password_of_a_database_is_in_its_address_alone(folder):
    secrets = contents(folder / "secrets")
    for database, variable in (("DAGSTER", "FX_DAGSTER_URL"), ("SERVING", "FX_STATE_URL")):
        password = secrets[f"{database}_PASSWORD"]
        assert {name for name, value in secrets.items() if password in value} == {f"{database}_PASSWORD", variable}


def test_the_certificate_is_for_this_machine(folder):
    secrets = folder / "secrets"
    ssl.create_default_context(cafile=secrets / "proxy.crt").load_cert_chain(
        secrets / "proxy.crt", secrets / "proxy.key"
    )
    command = ["openssl", "x509", "-in", str(secrets / "proxy.crt"), "-noout", "-checkhost", "localhost"]
    assert "does match" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_containers_run_with_the_settings_of_one_machine():
    one, composed = (
        yaml.safe_load(path.read_text()) for path in (ROOT / "deploy/dagster.yaml", COMPOSE / "dagster/dagster.yaml")
    )
    assert composed.keys() - one.keys() == OWN - {"run_launcher"}
    for settings in (one, composed):
        settings["concurrency"]["runs"] = None  # more of them, since each has a container
    assert {name: composed[name] for name in one.keys() - OWN} == {name: one[name] for name in one.keys() - OWN}


def test_no_service_has_a_right_that_it_does_not_need():
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"] == "${FX_USER:?make up}", name
        assert "privileged" not in service, name
        assert "mem_limit" in service or name == "initialise", name
        assert ("ports" in service) == (name == "proxy"), name
        assert (f"{SOCKET}:{SOCKET}" in service.get("volumes", ())) == (name in ("daemon", "webserver")), name
    # Pages are made of the code servers' answers and Dagster's database.
    assert services["webserver"]["secrets"] == services["viewer"]["secrets"] == ["FX_DAGSTER_URL"]
    for name in ("serving-a", "serving-b"):
        assert "${FX_COMPOSE_FOLDER}/home/dagster:/fx/dagster:ro" in services[name]["volumes"], name
        assert set(services[name]["networks"]) == {
            "serving",
            "serving-store",
        }


def test_a_run_is_as_its_launcher_but_for_the_engine():
    bind = {"Type": "bind", "Source": "/srv/fx/home", "Destination": "/fx", "RW": True}
    settings = {"Type": "bind", "Source": "/srv/config", "Destination": "/etc/fx", "RW": False}
    engine = {"Type": "bind", "Source": SOCKET, "Destination": SOCKET, "RW": True}
    mine = {
        "HostConfig": {
            "Tmpfs": {"/tmp": ""},
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "GroupAdd": ["998"],
        },
        "Config": {"User": "10001:10001", "Env": ["PATH=/opt/fx/bin", "PYTHONWARNINGS=ignore", "FX_HOME=/fx"]},
        "Mounts": [bind, settings, engine],
        "NetworkSettings": {"Networks": {"fx_store": {}, "fx_platform": {}}},
    }
    context = like(mine)
    kwargs = context.container_kwargs
    assert context.env_vars == ["FX_HOME=/fx"]
    assert context.networks == ["fx_platform", "fx_store"]
    assert [(mount["Target"], mount["ReadOnly"]) for mount in kwargs["mounts"]] == [("/fx", False), ("/etc/fx", True)]
    assert kwargs["user"] == "10001:10001"
    assert (kwargs["read_only"], kwargs["cap_drop"]) == (True, ["ALL"])
    assert kwargs["group_add"] == []
    with_steps = like(mine, engine=True).container_kwargs
    assert SOCKET in [mount["Target"] for mount in with_steps["mounts"]]
    assert with_steps["group_add"] == ["998"]


def test_what_is_mounted_is_where_its_readers_look(folder):
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    mounts = {
        name: [volume.rpartition(":ro")[0] or volume for volume in one.get("volumes", ())]
        for name, one in services.items()
    }
    secrets = [
        line.split(": ", 1)[1]
        for line in (ROOT / "deploy/alertmanager/alertmanager.yml").read_text().splitlines()
        if "_file: " in line
    ]
    where = services["alertmanager"]["working_dir"]
    assert {f"{where}/{Path(secret).parent}" for secret in secrets} == {
        volume.rpartition(":")[2] for volume in mounts["alertmanager"] if "secrets" in volume
    }
    archive = yaml.safe_load((COMPOSE / "config/data.compose.yaml").read_text())["archive"]["url"]
    assert (folder / "s3" / archive.removeprefix("s3://").partition("/")[0]).is_dir()
    for name in ("initialise", "fx-assets", "fx-monitoring", "webserver", "viewer", "daemon", "mlflow"):
        assert "./compose/dagster/dagster.yaml:/fx/dagster/dagster.yaml" in mounts[name], name

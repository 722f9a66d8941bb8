"""deploy/terraform: what can be known without Terraform itself, which neither Debian nor pip could bring.

The files parse as HCL; every name that is used is declared and the other way round; versions are pinned; files that are
read exist; no secret is a variable.
"""

import re
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from tests.deploy.conftest import ROOT, parse_command

TERRAFORM = ROOT / "deploy" / "terraform"
MODULES = ("host", "cluster")


def blocks(module: str) -> dict[str, list[dict[str, Any]]]:
    """All blocks of a module by kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted((TERRAFORM / module).glob("*.tf")):
        with path.open() as file:
            for kind, made in hcl2.load(file).items():
                found.setdefault(kind, []).extend(made)
    return found


def labelled(module: str, kind: str) -> dict[str, dict[str, Any]]:
    """Blocks with one label, by that."""
    return {label.strip('"'): body for block in blocks(module).get(kind, []) for label, body in block.items()}


def code(module: str) -> str:
    """The module's text without comments."""
    text = "".join(path.read_text() for path in sorted((TERRAFORM / module).glob("*.tf")))
    return re.sub(r"^\s*#.*$", "", text, flags=re.M)


def used(module: str, prefix: str) -> set[str]:
    return set(re.findall(rf"(?<![\w.]){prefix}\.(\w+)", code(module)))


@pytest.mark.parametrize("module", MODULES)
def test_variables_and_locals_are_declared_and_used(module):
    assert used(module, "var") == set(labelled(module, "variable"))
    names = {name for block in blocks(module)["locals"] for name in block if not name.startswith("__")}
    assert used(module, "local") == names


@pytest.mark.parametrize("module", MODULES)
def test_every_variable_and_output_says_what_it_is(module):
    for name, body in labelled(module, "variable").items():
        assert body["description"].strip('"'), name
        assert "type" in body, name
        for rule in body["validation"]:
            assert f"var.{name}" in rule["condition"], "a condition may name its own variable alone"
            assert rule["error_message"].strip('"').startswith(name)
    for name, body in labelled(module, "output").items():
        assert body["description"].strip('"'), name
        assert "value" in body, name


@pytest.mark.parametrize("module", MODULES)
def test_terraform_and_providers_are_pinned(module):
    (settings,) = blocks(module)["terraform"]
    assert re.search(r">= \d.*, < \d", settings["required_version"])
    providers = {name: row for block in settings.get("required_providers", []) for name, row in block.items()}
    providers = {name: row for name, row in providers.items() if isinstance(row, dict)}
    kinds = {kind.strip('"') for block in blocks(module).get("resource", []) for kind in block}
    assert {kind.partition("_")[0] for kind in kinds} == set(providers)
    for row in providers.values():
        assert re.fullmatch(r'"[a-z]+/[a-z]+"', row["source"])
        assert re.fullmatch(r'"~> \d+\.\d+(\.\d+)?"', row["version"])


@pytest.mark.parametrize("module", MODULES)
def test_resources_that_are_named_are_there(module):
    made = {
        f"{kind.strip(chr(34))}.{name.strip(chr(34))}"
        for block in blocks(module).get("resource", [])
        for kind, rows in block.items()
        for name in rows
    }
    assert set(re.findall(r"\b(helm_\w+\.\w+)", code(module))) == made


@pytest.mark.parametrize("module", MODULES)
def test_files_that_are_read_are_there(module):
    folders = {"path.module": TERRAFORM / module}
    for name, value in re.findall(r'^\s*(\w+)\s*= "\$\{path\.module\}([^"]*)"$', code(module), re.M):
        folders[f"local.{name}"] = TERRAFORM / module / value.lstrip("/")
    named = re.findall(r'"\$\{(path\.module|local\.(?:deploy|kubernetes))\}/([^"]+)"', code(module))
    assert len(named) > 2
    for folder, path in named:
        assert (folders[folder] / path).exists(), path


@pytest.mark.parametrize("module", MODULES)
def test_no_secret_can_get_into_a_state(module):
    """Names of secrets may; a variable that is a secret, or marked as one, may not."""
    for name, body in labelled(module, "variable").items():
        assert not re.search(r"password|token|secret(?!_name)|credential", f"{name} {body['type']}"), name
        assert "sensitive" not in body
    assert "sensitive" not in code(module)


def test_the_cluster_sets_only_values_that_both_charts_have():
    """Keys of what is laid over the charts' values, as written in main.tf."""
    text = code("cluster")
    serving, dagster = re.findall(r"yamlencode\(\{\n(.*?)\n\s*\}\)", text, re.S)
    values = yaml.safe_load((ROOT / "deploy/kubernetes/fx-serving/values.yaml").read_text())
    assert set(re.findall(r"^    (\w+)\s+=", serving, re.M)) <= set(values)
    base = yaml.safe_load((ROOT / "deploy/kubernetes/dagster-values.yaml").read_text())
    keys = set(re.findall(r'^      "?([\w-]+)"?\s+=', dagster, re.M))
    assert keys == {"global", "dagster-user-deployments", "dagsterWebserver", "dagsterDaemon", "postgresql"}
    assert keys <= set(base)
    assert set(re.findall(r"^        (postgresql\w+)\s+=", dagster, re.M)) <= set(base["postgresql"])
    default = labelled("cluster", "variable")["dagster_chart_version"]["default"].strip('"')
    assert f"--version {default} " in (ROOT / "deploy/kubernetes/dagster-values.yaml").read_text()


# ---- the host's files -----------------------------------------------------------------------------------------------

HOST = TERRAFORM / "host"
COMPOSE = yaml.safe_load((HOST / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def commands() -> dict[str, list[str]]:
    checks = {
        f"{name} health": row["healthcheck"]["test"][1:] for name, row in SERVICES.items() if "healthcheck" in row
    }
    return {name: row["command"] for name, row in SERVICES.items()} | checks


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_one(name, tmp_path):
    command = commands()[name]
    if command[:2] == ["python", "-m"]:
        assert (ROOT / Path(*command[2].split("."))).with_suffix(".py").exists()
        return
    # click looks whether files that are arguments exist.
    (tmp_path / "workspace.yaml").touch()
    parse_command([str(tmp_path / "workspace.yaml") if word == "/etc/fx/workspace.yaml" else word for word in command])


def test_containers_are_hardened_and_listen_to_nobody_else():
    for name, row in SERVICES.items():
        assert row["read_only"] is True, name
        assert row["cap_drop"] == ["ALL"], name
        assert row["security_opt"] == ["no-new-privileges:true"], name
        assert row["tmpfs"] == ["/tmp"], name
        assert all(port.startswith("127.0.0.1:") for port in row.get("ports", [])), name
        assert {"/var/lib/fx:/fx", "/etc/fx/secrets:/run/secrets/fx:ro"} <= set(row["volumes"]), name


def test_the_workspace_is_that_of_the_checkout_by_other_means():
    rows = [row["grpc_server"] for row in yaml.safe_load((HOST / "workspace.yaml").read_text())["load_from"]]
    locations = [row["python_module"] for row in yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]]
    assert [row["location_name"] for row in rows] == [row["location_name"] for row in locations]
    for row, location in zip(rows, locations, strict=True):
        command = SERVICES[row["host"]]["command"]
        assert command[command.index("--port") + 1] == str(row["port"])
        assert command[command.index("--module-name") + 1] == location["module_name"]


def test_dagsters_files_come_first_then_code_servers_then_what_asks_them():
    platform = {name: row for name, row in SERVICES.items() if row["image"] == "${FX_PLATFORM_IMAGE}"}
    assert SERVICES.keys() - platform.keys() == {"serving"}
    servers = {name for name, row in platform.items() if "healthcheck" in row}
    for name, row in platform.items():
        waits = {"initialise": "service_completed_successfully"} if name in servers else {}
        if name in ("webserver", "daemon"):
            waits = dict.fromkeys(servers, "service_healthy")
        assert {other: how["condition"] for other, how in row["depends_on"].items()} == waits
        # Which runs are dead is told by host name and process numbers (fx_assets/runs/dead.py).
        assert (row["hostname"], row["pid"]) == ("fx", "host")


def test_systemd_gives_compose_the_time_its_containers_have():
    unit = (HOST / "fx.service").read_text()
    allowed = int(re.search(r"TimeoutStopSec=(\d+)", unit)[1])  # type: ignore[index]
    longest = max(int(row["stop_grace_period"].removesuffix("s")) for row in SERVICES.values())
    assert allowed > longest
    assert "Unit" not in (HOST / "fx.path").read_text().split("[Path]")[1], "it starts the service of its own name"


def test_the_user_data_is_short_enough_for_a_cloud():
    """Its files alone; the precondition of the output has the last word."""
    files = [HOST / "compose.yaml", HOST / "workspace.yaml", ROOT / "deploy" / "dagster.yaml"]
    assert sum(path.stat().st_size for path in [*files, HOST / "fx.service", HOST / "fx.path"]) < 12_000

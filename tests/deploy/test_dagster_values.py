"""deploy/kubernetes/dagster-values.yaml: keys of the official chart, and what Dagster and Kubernetes themselves take.

The chart itself is in no Python package. What is held against it here is the list of its keys below; everything that
becomes an object of Kubernetes or a part of dagster.yaml is held against the real schemas.
"""

import re
from importlib.metadata import version
from typing import Any, cast

import pytest
import yaml
from dagster import DagsterInstance
from dagster._config import process_config
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster_k8s import K8sRunLauncher
from dagster_postgres.utils import pg_config

from tests.deploy.conftest import KUBERNETES, ROOT, assert_valid, merged, parse_command

FILE = KUBERNETES / "dagster-values.yaml"
VALUES = yaml.safe_load(FILE.read_text())
DEPLOYMENTS = VALUES["dagster-user-deployments"]["deployments"]
LAUNCHER = VALUES["runLauncher"]["config"]["k8sRunLauncher"]
INSTANCE = yaml.safe_load((ROOT / "deploy" / "dagster.yaml").read_text())
#: Names of values in the official chart (github.com/dagster-io/dagster, helm/dagster/values.yaml), by section; those
#: that are used here or stand beside them. The chart refuses others, or passes them over.
KEYS = {
    "": {
        "global", "generatePostgresqlPasswordSecret", "postgresql", "telemetry", "dagster-user-deployments",
        "dagsterWebserver", "dagsterDaemon", "runLauncher", "computeLogManager", "pythonLogs", "retention",
        "additionalInstanceConfig", "imagePullSecrets", "serviceAccount", "migrate", "ingress",
    },
    "global": {"postgresqlSecretName", "dagsterHome", "serviceAccountName"},
    "postgresql": {
        "enabled", "image", "postgresqlHost", "postgresqlUsername", "postgresqlPassword", "postgresqlDatabase",
        "postgresqlParams", "postgresqlScheme", "service",
    },
    "telemetry": {"enabled"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "imagePullSecrets", "deployments"},
    "deployment": {
        "name", "image", "dagsterApiGrpcArgs", "codeServerArgs", "includeConfigInLaunchedRuns", "port", "env",
        "envConfigMaps", "envSecrets", "annotations", "nodeSelector", "affinity", "tolerations", "podSecurityContext",
        "securityContext", "resources", "livenessProbe", "readinessProbe", "startupProbe", "labels", "volumeMounts",
        "volumes", "schedulerName",
    },
    "dagsterWebserver": {
        "replicaCount", "image", "nameOverride", "pathPrefix", "service", "workspace", "env", "envConfigMaps",
        "envSecrets", "nodeSelector", "affinity", "tolerations", "podSecurityContext", "securityContext", "resources",
        "readinessProbe", "livenessProbe", "startupProbe", "annotations", "enableReadOnly", "dbStatementTimeout",
        "dbPoolRecycle", "logLevel", "schedulerName", "volumeMounts", "volumes",
    },
    "dagsterDaemon": {
        "enabled", "image", "runCoordinator", "heartbeatTolerance", "env", "envConfigMaps", "envSecrets",
        "nodeSelector", "affinity", "tolerations", "podSecurityContext", "securityContext", "resources",
        "livenessProbe", "readinessProbe", "startupProbe", "annotations", "runMonitoring", "runRetries", "sensors",
        "schedules", "schedulerName", "volumeMounts", "volumes",
    },
    "runLauncher": {"type", "config"},
    "k8sRunLauncher": {
        "image", "imagePullPolicy", "jobNamespace", "loadInclusterConfig", "kubeconfigFile", "envConfigMaps",
        "envSecrets", "envVars", "volumeMounts", "volumes", "labels", "failPodOnRunFailure", "resources",
        "schedulerName", "securityContext", "runK8sConfig",
    },
    "computeLogManager": {"type", "config"},
    "pythonLogs": {"pythonLogLevel", "managedPythonLoggers", "dagsterHandlerConfig"},
    "retention": {"enabled", "schedule", "sensor", "autoMaterialize"},
}  # fmt: skip
SECTIONS = {
    "": VALUES,
    **{name: VALUES[name] for name in KEYS if name in VALUES},
    "deployment": merged(*DEPLOYMENTS),
    "k8sRunLauncher": LAUNCHER,
}


def snake(thing: Any) -> Any:
    """The chart's names as Dagster's; what Kubernetes names itself stays as it is."""
    if isinstance(thing, list):
        return [snake(value) for value in thing]
    if not isinstance(thing, dict):
        return thing
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): snake(value) for key, value in thing.items()}


@pytest.mark.parametrize("section", sorted(KEYS))
def test_every_key_is_one_of_the_chart(section):
    assert SECTIONS[section].keys() <= KEYS[section]


def test_it_is_for_the_dagster_that_is_locked():
    assert f"--version {version('dagster')} " in FILE.read_text()


@pytest.mark.parametrize("section", ["dagsterWebserver", "dagsterDaemon", *range(len(DEPLOYMENTS))], ids=str)
def test_what_becomes_a_pod_is_one_that_kubernetes_takes(section):
    part = VALUES[section] if isinstance(section, str) else DEPLOYMENTS[section]
    container = {
        "name": "dagster",
        "image": f"{part['image']['repository']}:{part['image']['tag']}",
        "imagePullPolicy": part["image"]["pullPolicy"],
        "env": part.get("env", []),
        "resources": part["resources"],
        "securityContext": part["securityContext"],
        "volumeMounts": part["volumeMounts"],
    }
    spec = {
        "containers": [container],
        "nodeSelector": part["nodeSelector"],
        "securityContext": part["podSecurityContext"],
        "volumes": part["volumes"],
    }
    assert_valid({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dagster"}, "spec": spec})
    assert_hardened(part["podSecurityContext"], part["securityContext"])
    assert {mount["name"] for mount in part["volumeMounts"]} == {volume["name"] for volume in part["volumes"]}


def assert_hardened(pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert (pod["runAsNonRoot"], pod["runAsUser"]) == (True, 10001)
    assert container["readOnlyRootFilesystem"] is True
    assert container["allowPrivilegeEscalation"] is False
    assert container["capabilities"] == {"drop": ["ALL"]}


def test_claims_exist_for_all_that_is_mounted():
    claims = list(yaml.safe_load_all((KUBERNETES / "claims.yaml").read_text()))
    for claim in claims:
        assert_valid(claim)
    mounted = {v["persistentVolumeClaim"]["claimName"] for v in LAUNCHER["volumes"] if "persistentVolumeClaim" in v}
    assert mounted == {claim["metadata"]["name"] for claim in claims}
    # The home is opened from one node alone, whoever opens it.
    modes = {claim["metadata"]["name"]: claim["spec"]["accessModes"] for claim in claims}
    assert modes["fx-home"] == ["ReadWriteOnce"]
    parts = [*DEPLOYMENTS, VALUES["dagsterWebserver"], VALUES["dagsterDaemon"]]
    nodes = [*(part["nodeSelector"] for part in parts), LAUNCHER["runK8sConfig"]["podSpecConfig"]["nodeSelector"]]
    assert nodes == [nodes[0]] * len(nodes)
    assert nodes[0]


def test_the_run_launcher_takes_its_configuration():
    """As the chart writes it into dagster.yaml: these keys in snake case, and those that it adds itself."""
    config = {key: value for key, value in LAUNCHER.items() if key != "runK8sConfig"}
    run = {"pod_spec_config": LAUNCHER["runK8sConfig"]["podSpecConfig"]}
    run["job_spec_config"] = LAUNCHER["runK8sConfig"]["jobSpecConfig"]
    nested = {key: config.pop(key) for key in ("volumes", "volumeMounts", "securityContext", "resources")}
    written = snake(config) | {re.sub(r"(?=[A-Z])", "_", key).lower(): value for key, value in nested.items()}
    written |= {"run_k8s_config": run, "service_account_name": "dagster", "instance_config_map": "dagster-instance"}
    written |= {"postgres_password_secret": VALUES["global"]["postgresqlSecretName"]}
    done = process_config(K8sRunLauncher.config_type(), written)
    assert done.success, done.errors
    container = {key: LAUNCHER[key] for key in ("resources", "securityContext", "volumeMounts")}
    pod = LAUNCHER["runK8sConfig"]["podSpecConfig"] | {"volumes": LAUNCHER["volumes"], "restartPolicy": "Never"}
    template = {"spec": pod | {"containers": [container | {"name": "dagster", "image": "fx-platform"}]}}
    spec = LAUNCHER["runK8sConfig"]["jobSpecConfig"] | {"template": template}
    assert_valid({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "run"}, "spec": spec})
    # What a code server sees, its runs see.
    assert LAUNCHER["imagePullPolicy"] == DEPLOYMENTS[0]["image"]["pullPolicy"]
    assert LAUNCHER["envVars"] == [f"{row['name']}={row['value']}" for row in DEPLOYMENTS[0]["env"]]
    assert (LAUNCHER["volumes"], LAUNCHER["volumeMounts"]) == (
        DEPLOYMENTS[0]["volumes"],
        DEPLOYMENTS[0]["volumeMounts"],
    )
    assert_hardened(LAUNCHER["runK8sConfig"]["podSpecConfig"]["securityContext"], LAUNCHER["securityContext"])
    assert all(not row["includeConfigInLaunchedRuns"]["enabled"] for row in DEPLOYMENTS)


def test_the_database_is_one_that_dagster_takes_and_holds_no_password():
    given = VALUES["postgresql"]
    assert (given["enabled"], given["postgresqlPassword"]) == (False, "")
    address = {
        "hostname": given["postgresqlHost"],
        "username": given["postgresqlUsername"],
        "password": {"env": "DAGSTER_PG_PASSWORD"},
        "db_name": given["postgresqlDatabase"],
        "port": given["service"]["port"],
        "scheme": given["postgresqlScheme"],
    }
    fields = {"postgres_db": cast(dict[str, Any], pg_config())["postgres_db"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_PG_PASSWORD", "secret")
        done = process_config(fields, {"postgres_db": address})
    assert done.success, done.errors


def written_instance() -> dict[str, Any]:
    """dagster.yaml as the chart writes it, without storage and run launcher, which need a server and a cluster."""
    daemon, logs = VALUES["dagsterDaemon"], VALUES["computeLogManager"]["config"]["customComputeLogManager"]
    retention = {
        snake({key: 0}).popitem()[0]: snake(row) for key, row in VALUES["retention"].items() if key != "enabled"
    }
    return {
        "telemetry": VALUES["telemetry"],
        "compute_logs": logs,
        "python_logs": {
            "managed_python_loggers": VALUES["pythonLogs"]["managedPythonLoggers"],
            "dagster_handler_config": VALUES["pythonLogs"]["dagsterHandlerConfig"],
        },
        "run_monitoring": snake(daemon["runMonitoring"]),
        "run_retries": snake(daemon["runRetries"]),
        "schedules": snake(daemon["schedules"]),
        "sensors": snake(daemon["sensors"]),
        "retention": retention,
        **VALUES["additionalInstanceConfig"],
    }


def test_a_cluster_is_run_as_one_machine_is():
    """Whatever deploy/dagster.yaml says holds here, too, but for what is said to differ."""
    written = written_instance()
    differing = {"run_launcher", "run_monitoring"}
    assert {key: written[key] for key in INSTANCE.keys() - differing} == {
        key: value for key, value in INSTANCE.items() if key not in differing
    }
    monitoring = written["run_monitoring"]
    assert monitoring == INSTANCE["run_monitoring"] | {
        "start_timeout_seconds": monitoring["start_timeout_seconds"],
        "max_resume_run_attempts": 0,
    }


def test_dagster_loads_the_instance(tmp_path):
    written = written_instance()
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(written))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert isinstance(instance.compute_log_manager, LocalComputeLogManager)
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.run_monitoring_settings["start_timeout_seconds"] == 600
        assert instance.run_retries_max_retries == 2


def test_the_locations_are_those_of_the_workspace():
    """Under the same names, from the servers that the chart makes."""
    locations = [row["python_module"] for row in yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]]
    servers = {row["host"]: row for row in VALUES["dagsterWebserver"]["workspace"]["servers"]}
    assert [row["dagsterApiGrpcArgs"] for row in DEPLOYMENTS] == [
        ["--module-name", location["module_name"]] for location in locations
    ]
    for row in DEPLOYMENTS:  # as the chart starts it
        parse_command(["dagster", "api", "grpc", "-h", "0.0.0.0", "-p", str(row["port"]), *row["dagsterApiGrpcArgs"]])
    assert [servers[row["name"]]["name"] for row in DEPLOYMENTS] == [row["location_name"] for row in locations]
    assert [servers[row["name"]]["port"] for row in DEPLOYMENTS] == [row["port"] for row in DEPLOYMENTS]
    assert VALUES["dagsterWebserver"]["enableReadOnly"] is True


def test_helm_reads_the_file_as_written(helm):
    """Its anchors, too."""
    assert helm.values_from_yaml(FILE.read_text()) == VALUES


def test_both_charts_meet(rendered):
    """The configuration and the bundles are those of the deployment service."""
    things = rendered()
    assert {"name": "configuration", "configMap": {"name": "fx-serving"}} in LAUNCHER["volumes"]
    assert "ConfigMap/fx-serving" in things
    pods = things["Service/fx-serving-pods"]
    port = pods["spec"]["ports"][0]["port"]
    url = next(row["value"] for row in DEPLOYMENTS[0]["env"] if row["name"] == "FX_SERVING_URL")
    assert url == f"http://fx-serving-0.{pods['metadata']['name']}:{port}"

"""deploy/kubernetes/fx-serving: valid objects, and true to how `fx serve` runs."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.supervisor import DRAIN_S
from tests.deploy.conftest import CHART, GIVEN, assert_valid, merged
from tests.servers.faults import dead_port
from tests.servers.serving import Service, launch, wait_until

FULL = {
    "replicaCount": 3,
    "image": {"repository": "registry.example/fx-serving", "tag": "1.2.3"},
    "imagePullSecrets": [{"name": "registry"}],
    "autoscaling": {"enabled": True, "maxReplicas": 6},
    "home": {"storageClassName": "fast"},
    "environment": {"FX_ENV": "prod", "FX_LOG_LEVEL": "007"},
    "nodeSelector": {"pool": "serving"},
    "tolerations": [{"key": "serving", "operator": "Exists"}],
    "networkPolicy": {"from": [{"namespaceSelector": {}}], "toPorts": [5432]},
}
TOKEN = "a-token-of-this-test"


def container(things: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return pod(things)["containers"][0]


def pod(things: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return things["StatefulSet/fx-serving"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("values", [{}, FULL], ids=["default", "full"])
def test_every_object_is_one_that_kubernetes_takes(rendered, values):
    things = rendered(values)
    for thing in things.values():
        assert_valid(thing)
    assert ("HorizontalPodAutoscaler/fx-serving" in things) == bool(values)
    # An autoscaler and a stated number would fight.
    assert ("replicas" in things["StatefulSet/fx-serving"]["spec"]) == (not values)


def test_helm_lints_it(helm):
    report = helm.lint(CHART, GIVEN, strict=True, kube_version="v1.31.0")
    assert report["total_charts_linted"] == 1
    assert not report["errors"]
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"secretName": ""},
        {"bundles": {"claimName": ""}},
        {"replicaCount": 0},
        {"replicas": 2},
        {"serving": {"port": 80}},
        {"serving": {"access": {"tls_cert": "/etc/fx/server.crt"}}},
        {"environment": {"FX_LOG_DAYS": 7}},
    ],
    ids=str,
)
def test_values_that_cannot_work_are_refused(helm, wrong):
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(merged(GIVEN, FULL))
        with pytest.raises(helm.HelmValuesError):
            chart.validate_schema(merged(GIVEN, wrong))


def test_nothing_of_it_is_privileged_or_can_ask_the_cluster(rendered):
    things = rendered()
    assert pod(things)["automountServiceAccountToken"] is False
    assert things["ServiceAccount/fx-serving"]["automountServiceAccountToken"] is False
    assert pod(things)["securityContext"]["runAsNonRoot"] is True
    assert container(things)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # The user of the image: it owns what the volumes hold.
    user = pod(things)["securityContext"]["runAsUser"]
    assert f"--uid {user} " in (CHART.parents[1] / "images" / "Dockerfile").read_text()


def test_secrets_come_by_reference_alone(rendered):
    things = rendered(FULL)
    assert not [name for name in things if name.startswith("Secret/")]
    assert {"name": "secrets", "secret": {"secretName": "fx-serving", "defaultMode": 0o440}} in pod(things)["volumes"]
    for name in ("FX_STATE_URL", "FX_REDIS_URL", "FX_SERVING_TOKEN"):
        assert name not in yaml.safe_dump(list(things.values()))


def test_services_policies_and_budget_choose_the_pods(rendered):
    things = rendered({"autoscaling": {"enabled": True}})
    labels = things["StatefulSet/fx-serving"]["spec"]["template"]["metadata"]["labels"]
    chosen = [
        things["Service/fx-serving"]["spec"]["selector"],
        things["Service/fx-serving-pods"]["spec"]["selector"],
        things["PodDisruptionBudget/fx-serving"]["spec"]["selector"]["matchLabels"],
        things["NetworkPolicy/fx-serving"]["spec"]["podSelector"]["matchLabels"],
        things["StatefulSet/fx-serving"]["spec"]["selector"]["matchLabels"],
    ]
    for selector in chosen:
        assert selector
        assert selector.items() <= labels.items()
    assert things["StatefulSet/fx-serving"]["spec"]["serviceName"] == "fx-serving-pods"
    assert things["HorizontalPodAutoscaler/fx-serving"]["spec"]["scaleTargetRef"]["name"] == "fx-serving"


def test_a_pod_has_a_home_of_its_own_and_shares_the_bundles(rendered):
    """Two services cannot run on one home; a claim of its own is what a StatefulSet is for."""
    things = rendered()
    mounts = {mount["name"]: mount for mount in container(things)["volumeMounts"]}
    claims = [claim["metadata"]["name"] for claim in things["StatefulSet/fx-serving"]["spec"]["volumeClaimTemplates"]]
    home = next(row["value"] for row in container(things)["env"] if row["name"] == "FX_HOME")
    assert claims == ["home"]
    assert mounts["home"]["mountPath"] == home
    assert mounts["bundles"]["mountPath"] == str(Stores(Path(home)).bundles)
    assert mounts["bundles"]["readOnly"] is True


@pytest.mark.parametrize("drain_s", [0, 10, 60])
def test_a_pod_is_given_the_time_that_its_service_takes_to_drain(rendered, drain_s):
    things = rendered({"serving": {"limits": {"drain_s": drain_s}}})
    wait = int(container(things)["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod(things)["terminationGracePeriodSeconds"] > wait + drain_s + DRAIN_S


def test_a_changed_setting_replaces_the_pods(rendered):
    def annotation(things):
        return things["StatefulSet/fx-serving"]["spec"]["template"]["metadata"]["annotations"]

    assert annotation(rendered()) == annotation(rendered({"home": {"size": "20Gi"}}))
    assert annotation(rendered()) != annotation(rendered({"serving": {"limits": {"drain_s": 11}}}))


# ---- the service itself, with the pod's variables, files and command ------------------------------------------------


@pytest.fixture(scope="module")
def things(rendered) -> dict[str, dict[str, Any]]:
    # Names by which it may be called: the probes' own must be among them all the same.
    return rendered({"serving": {"access": {"allowed_hosts": ["fx.example"]}, "limits": {"drain_s": 1}}})


@pytest.fixture(scope="module")
def service(things, tmp_path_factory) -> Iterator[Service]:
    """`fx serve` on an empty home, with no Redis that answers."""
    folder = tmp_path_factory.mktemp("pod")
    settings = yaml.safe_load(things["ConfigMap/fx-serving"]["data"]["serving.yaml"])
    assert ServingConfig.model_validate(settings).feature_blobs == "redis"
    # As Kubernetes mounts a secret: links to a folder that is exchanged at once.
    secrets = {"FX_REDIS_URL": f"redis://127.0.0.1:{dead_port()}/0", "FX_SERVING_TOKEN": TOKEN}
    (folder / "secrets" / "..data").mkdir(parents=True)
    for name, value in secrets.items():
        (folder / "secrets" / "..data" / name).write_text(value)
        (folder / "secrets" / name).symlink_to(f"..data/{name}")
    (folder / "home" / "bundles").mkdir(parents=True)
    (folder / "home" / "bundles").chmod(0o555)
    stated = {row["name"]: row["value"] for row in container(things)["env"]}
    environment = stated | {"FX_SECRETS_DIR": str(folder / "secrets"), "FX_HOME": str(folder / "home")}
    del environment["FX_CONFIG_DIR"]  # the fixture's file is the one of the home
    service = launch(folder / "home", settings["workers"], settings=settings | {"port": 0}, environment=environment)
    yield service
    service.stop()


def test_what_the_probes_ask_is_answered_without_a_token(things, service):
    def answer(probe: str) -> int:
        asked = container(things)[probe]["httpGet"]
        headers = {row["name"]: row["value"] for row in asked["httpHeaders"]}
        return httpx.get(service.url + asked["path"], headers=headers).status_code

    assert container(things)["command"] == ["fx", "serve"], "what the fixture starts"
    assert container(things)["ports"] == [{"name": "http", "containerPort": 8700}]
    assert wait_until(lambda: answer("livenessProbe") == 200)
    assert answer("startupProbe") == 200
    assert answer("readinessProbe") == 503, "no model is deployed"
    assert httpx.get(service.url + "/traffic", headers={"Host": "localhost"}).status_code == 401
    operator = {"Host": "localhost", "Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(service.url + "/traffic", headers=operator).status_code == 200


def test_it_ends_well_within_its_time(things, service):
    """The file's last test: it ends the service."""
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(pod(things)["terminationGracePeriodSeconds"]) == 0

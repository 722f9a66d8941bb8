"""The image of the deployment service in a hardened container: it serves, is light, and keeps no secret."""

import json
import os
from pathlib import Path

import pytest
import yaml

from fx_serving.client.home import Stores
from fx_serving.client.http import ServiceError, ServingClient
from tests.images.conftest import HARDENED, docker
from tests.servers.serving import FAST_POLICY, Traffic, make_bundle, publish_features, start_service, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.server]

USER = 10001
LIMIT_MB = 400
CLOCK = "2022-03-04T22:00:00Z"


@pytest.fixture
def home(tmp_path) -> Path:
    """A home with two versions, owned by the image's user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give the home to the image's user")
    folder = tmp_path / "home"
    folder.mkdir()
    stores = Stores(folder)
    publish_features(stores)
    for version in ("1", "2"):
        make_bundle(stores, version)
    (folder / "config").mkdir()
    settings = {"workers": 2, "rollout": FAST_POLICY, "lease": {"renew_s": 0.2, "expire_s": 2}}
    (folder / "config" / "serving.yaml").write_text(yaml.safe_dump(settings))
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)
    return folder


def token(image: str, home: Path) -> str:
    create = ("fx", "token", "create", "desk", "--role", "operate", "--json")
    made = docker("run", "--rm", *HARDENED, "-v", f"{home}:/fx", image, *create)
    # What it says to people comes by another stream, before or after.
    return next(json.loads(line)["token"] for line in made.splitlines() if line.startswith("{"))


def address(name: str) -> str:
    return "http://" + docker("port", name, "8700/tcp").split()[0]


def health(name: str) -> str:
    return docker("inspect", "--format", "{{.State.Health.Status}}", name).strip()


def roll_out(client: ServingClient, version: str) -> None:
    begun = client.start_rollout("move_60m", version)
    done = client.wait_rollout(begun["id"], 120, poll_s=0.2)
    assert done["state"] == "succeeded", done


def test_it_serves_rolls_out_and_stops_in_a_hardened_container(serving, container, home):
    secret = token(serving, home)
    name = container(serving, "-v", f"{home}:/fx", "-e", f"FX_CLOCK={CLOCK}", "-p", "127.0.0.1::8700")
    wait_until(lambda: health(name) == "healthy", every_s=0.5)
    with pytest.raises(ServiceError, match="401"):
        ServingClient(address(name)).predict("GBP_USD")
    client = ServingClient(address(name), token=secret)
    roll_out(client, "1")
    with Traffic(address(name), token=secret) as traffic:  # the candidate is judged by it
        roll_out(client, "2")
    assert traffic.failures == []
    answer = client.predict("GBP_USD")
    assert answer["model_version"] == "2"
    docker("stop", "--time", "30", name)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    said = docker("logs", name) + "".join(p.read_text() for p in (home / "logs").rglob("*.log*"))
    assert secret not in said
    # The same home answers the same without the container.
    with start_service(home, environment={"FX_SERVING_TOKEN": secret}) as service:
        assert service.client.predict("GBP_USD")["prediction"] == answer["prediction"]


def test_it_refuses_to_be_open_to_others_without_a_token(serving, container, home):
    name = container(serving, "-v", f"{home}:/fx")
    wait_until(lambda: docker("inspect", "--format", "{{.State.Status}}", name).strip() == "exited", every_s=0.2)
    assert "fx token create" in docker("logs", name)


def test_it_is_light_and_holds_neither_the_platform_nor_a_package_manager(serving):
    size = int(docker("image", "inspect", "--format", "{{.Size}}", serving)) / 1e6
    assert size <= LIMIT_MB
    heavy = ("dagster", "mlflow", "feast", "pandas", "xgboost", "evidently", "pip")
    code = f"import importlib.util as u; print([n for n in {heavy!r} if u.find_spec(n)])"
    assert docker("run", "--rm", *HARDENED, serving, "python", "-c", code).strip() == "[]"


def test_it_runs_as_nobody_and_can_write_only_where_it_keeps_its_state(serving):
    code = (
        "import os\n"
        "def can(path):\n"
        "    try: open(path + '/x', 'w').close(); return True\n"
        "    except OSError: return False\n"
        "print(os.getuid(), can('/fx'), can('/tmp'), can('/opt/fx'), can('/'), can('/etc'))"
    )
    said = docker("run", "--rm", *HARDENED, serving, "python", "-c", code)
    assert said.split() == [str(USER), "True", "True", "False", "False", "False"]


def test_no_layer_tells_a_secret_or_the_builders_address(serving):
    told = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", serving)
    told += docker("image", "inspect", serving)
    for word in ("PASSWORD", "SECRET", "TOKEN=", "PIP_INDEX_URL=http"):
        assert word not in told

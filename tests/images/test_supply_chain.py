"""What the image of the deployment service is made of: its own list of it, and the scan of it."""

import json
from datetime import date

import pytest

from deploy.scan.image import findings, scan
from deploy.scan.reviewed import problems, reviewed
from tests.images.conftest import HARDENED, docker

pytestmark = [pytest.mark.docker, pytest.mark.server]


def test_its_list_of_parts_is_what_it_holds(serving):
    bom = json.loads(docker("run", "--rm", *HARDENED, serving, "cat", "/opt/fx/sbom.cdx.json"))
    told = {"pypi": set(), "deb": set(), "generic": set()}
    for part in bom["components"]:
        told[part["purl"].removeprefix("pkg:").partition("/")[0]].add((part["name"], part["version"]))
    code = (
        "import importlib.metadata as m, json, platform\n"
        "print(json.dumps([[[d.metadata['Name'], d.version] for d in m.distributions()], platform.python_version()]))"
    )
    packages, python = json.loads(docker("run", "--rm", *HARDENED, serving, "python", "-c", code))
    assert told["pypi"] == {(name, version) for name, version in packages if name != "fx-platform"}
    assert told["generic"] == {("python", python)}
    form = "${db:Status-Status} ${Package} ${Version}\\n"
    lines = docker("run", "--rm", *HARDENED, serving, "dpkg-query", "-W", "-f", form).splitlines()
    assert told["deb"] == {tuple(line.split()[1:]) for line in lines if line.startswith("installed ")}


def test_it_holds_no_secret_no_rights_that_go_too_far_and_is_not_root(serving):
    """Debian's updates are left to `make scan-images`: they come without any change of this repository."""
    assert problems(findings(scan(serving)), set(), reviewed()["exceptions"], date.today()) == []

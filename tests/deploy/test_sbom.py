"""deploy/images/sbom.py: what each image is made of, of the packages that are installed here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.images.sbom import debian, document, inventory, locked
from tests.servers.platform import ROOT

IMAGES = ROOT / "deploy" / "images"
STATUS = """Package: libssl3
Status: install ok installed
Architecture: amd64
Version: 1:3.0.15-1~deb12u1
Description: Secure Sockets Layer toolkit
 Version: none of its own

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""


@pytest.fixture(scope="module")
def installed(tools):
    return inventory(sys.executable, tools)


@pytest.mark.server
@pytest.mark.parametrize("image", ["serving", "exporter", "platform"])
def test_every_package_of_the_lock_is_told_with_its_hashes(installed, image):
    lock = IMAGES / f"{image}.lock"
    made = document(f"fx-{image}", lock, installed)
    components = {component["purl"]: component for component in made["components"]}
    wanted = list(locked(lock))
    assert len(components) == len(wanted) > 40
    for name, version, hashes in wanted:
        (files,) = components[f"pkg:pypi/{name}@{version}"]["externalReferences"]
        assert [entry["content"] for entry in files["hashes"]] == hashes != []
    told = sum("licenses" in component for component in components.values())
    assert told >= 0.9 * len(components)
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in made["dependencies"]}
    assert any(ref.startswith("uvicorn==") for ref in needs[f"fx-{image}"])
    (fastapi,) = (ref for ref in needs if ref.startswith("fastapi=="))
    assert any(ref.startswith("starlette==") for ref in needs[fastapi])
    assert made == document(f"fx-{image}", lock, installed)
    assert str(Path.cwd()) not in str(made)


def run(tools: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [tools, IMAGES / "sbom.py", *arguments, "--python", sys.executable]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.server
def test_the_program_tells_debians_packages_and_pythons_version_too(tools, tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS)
    done = run(tools, "fx-serving", IMAGES / "serving.lock", "--dpkg", status)
    assert done.returncode == 0, done.stderr
    names = [component["name"] for component in json.loads(done.stdout)["components"]]
    assert {"fastapi", "libssl3", "python"} <= set(names)


@pytest.mark.server
def test_what_does_not_keep_to_the_schema_is_refused(tools, tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS + "\n" + STATUS)  # the same package twice
    done = run(tools, "fx-serving", IMAGES / "serving.lock", "--dpkg", status)
    assert "not CycloneDX 1.6" in done.stderr
    assert done.returncode == 1
    assert done.stdout == ""


def test_debians_packages_are_those_that_are_installed():
    (library,) = debian(STATUS, "debian-12")
    assert library["version"] == "1:3.0.15-1~deb12u1"
    assert library["purl"] == "pkg:deb/debian/libssl3@1:3.0.15-1~deb12u1?arch=amd64&distro=debian-12"


@pytest.mark.server
@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("httpx==0.1 --hash=sha256:" + "0" * 64, "httpx 0.1 is locked and"),
        ("httpx>=0.1 --hash=sha256:" + "0" * 64, "wants a version"),
        ("httpx==0.28.1", "wants a version"),
    ],
)
def test_what_is_not_installed_or_not_locked_is_refused(installed, tmp_path, line, told):
    lock = tmp_path / "some.lock"
    lock.write_text(line + "\n")
    with pytest.raises(SystemExit, match=told):
        document("fx-serving", lock, installed)


def test_every_image_brings_its_own():
    text = (IMAGES / "Dockerfile").read_text()
    for image in ("serving", "exporter", "platform"):
        environment = text.partition(f" AS {image}-environment\n")[2].partition("\nFROM ")[0]
        assert f"./install {image}.lock\n" in environment
        assert f"/opt/sbom/sbom.py fx-{image} {image}.lock --python /opt/fx/bin/python" in environment
        assert "> /opt/fx/sbom.cdx.json" in environment
        assert f"COPY --from={image}-environment /opt/fx /opt/fx\n" in text

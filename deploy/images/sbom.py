"""What an image is made of, as CycloneDX: sbom.py NAME LOCK --python PYTHON [--dpkg STATUS] > NAME.cdx.json.

Runs while an image is built, and by `make sbom`, in an environment of tools.lock. The packages are those of the lock,
which must be installed for PYTHON: from there are their licences, and what needs what.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "fx-platform"


def inventory(python: str, tools: str = sys.executable) -> dict[str, Any]:
    """Every package that is installed for a Python, as a CycloneDX document; tools is a Python with cyclonedx-bom."""
    command = [tools, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--no-validate", python]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def locked(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 hashes of what a lock installs on this machine."""
    for stanza in re.split(r"^(?=[A-Za-z0-9])", path.read_text(), flags=re.M)[1:]:
        line = stanza.splitlines()[0].partition("--hash")[0].rstrip(" \\")
        wanted, hashes = Requirement(line), re.findall(r"--hash=sha256:([0-9a-f]{64})\b", stanza)
        versions = [each.version for each in wanted.specifier if each.operator == "=="]
        if len(versions) != 1 or not hashes:
            raise SystemExit(f"{path}: {line}: wants a version (==) and hashes. Run: make lock")
        if wanted.marker is None or wanted.marker.evaluate():
            yield canonicalize_name(wanted.name), versions[0], hashes


def debian(status: str, distribution: str) -> Iterator[dict[str, Any]]:
    """The installed packages of dpkg's status file."""
    for stanza in status.split("\n\n"):
        field = dict(re.findall(r"^([\w-]+): (.*)$", stanza, re.M))
        if field.get("Status") == "install ok installed":
            name, version = field["Package"], field["Version"]
            purl = f"pkg:deb/debian/{name}@{version}?arch={field['Architecture']}&distro={distribution}"
            purl = purl.replace("+", "%2B")  # which some would read as a space
            yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def document(name: str, lock: Path, installed: dict[str, Any]) -> dict[str, Any]:
    """The inventory without what the lock does not hold, with the hashes of what it does."""
    there = {str(canonicalize_name(component["name"])): component for component in installed["components"]}
    project, components = there[PROJECT], []
    for package, version, hashes in locked(lock):
        found = there[package]["version"] if package in there else "none"
        if found != version:
            raise SystemExit(f"{lock}: {package} {version} is locked and {found} installed. Install the lock again")
        component = there[package]
        # Which of the files was installed depends on the machine: each is one that the lock allows.
        files = {"type": "distribution", "url": component["purl"]}
        files["hashes"] = [{"alg": "SHA-256", "content": content} for content in hashes]
        components.append(component | {"externalReferences": [files]})
    root = {"type": "container", "bom-ref": name, "name": name}
    root |= {"version": project["version"], "licenses": project["licenses"]}
    refs = {component["bom-ref"]: component["bom-ref"] for component in components} | {project["bom-ref"]: name}
    needs = [
        {"ref": refs[entry["ref"]], "dependsOn": sorted(ref for ref in entry.get("dependsOn", []) if ref in refs)}
        for entry in installed["dependencies"]
        if entry["ref"] in refs
    ]
    parts = {"components": components, "dependencies": needs}
    return installed | parts | {"metadata": installed["metadata"] | {"component": root}}


def main() -> None:
    from cyclonedx.schema import SchemaVersion  # pyright: ignore[reportMissingImports]
    from cyclonedx.validation.json import JsonStrictValidator  # pyright: ignore[reportMissingImports]

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("lock", type=Path)
    parser.add_argument("--python", required=True)
    parser.add_argument("--dpkg", type=Path, help="dpkg's status file of the same image")
    given = parser.parse_args()
    made = document(given.name, given.lock, inventory(given.python))
    if given.dpkg:
        release = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.M))
        made["components"] += debian(given.dpkg.read_text(), f"{release['ID']}-{release.get('VERSION_ID', 'unknown')}")
        # The image of Python builds it itself, which dpkg does not know.
        version = ".".join(map(str, sys.version_info[:3]))
        purl = f"pkg:generic/python@{version}"
        python = {"type": "platform", "bom-ref": purl, "name": "python", "version": version, "purl": purl}
        made["components"].append(python)
    text = json.dumps(made, indent=1, sort_keys=True)
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"{given.name}: not CycloneDX 1.6: {wrong}")
    print(text)


if __name__ == "__main__":
    main()

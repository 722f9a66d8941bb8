"""`make scan`: every locked version: advisories, versions taken back (PEP 592), hashes, and the licences of the images.

Ends with 0 when clean, 1 with findings that nobody explained, and 3 when something could not be scanned.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.images.sbom import document, inventory, locked
from deploy.scan.reviewed import Finding, NotScanned, report, reviewed

ROOT = Path(__file__).resolve().parents[2]
#: A Python with what tools.lock holds. Run: make tools
TOOLS = ROOT / "build/tools/bin/python"
IMAGES = ("serving", "exporter", "platform")
# The images hold only versions of requirements.lock, which tests/architecture/test_image_locks.py sees to.
# The shortest first: where nothing answers, one question shows it.
LOCKS = (ROOT / "tests/deploy/helm.txt", ROOT / "requirements.lock", ROOT / "deploy/images/tools.lock")


def audit(lock: Path) -> list[dict[str, Any]]:
    """Each locked package with its advisories, as pip-audit tells them; raises NotScanned where it tells nothing."""
    options = ("--disable-pip", "--require-hashes", "--progress-spinner", "off", "--format", "json")
    command = [TOOLS, "-m", "pip_audit", *options, "-r", lock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        told = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
        raise NotScanned(f"advisories of {lock.name}: pip-audit: {told}")
    return json.loads(done.stdout)["dependencies"]


def advisories(lock: Path) -> Iterator[Finding]:
    """Raises NotScanned after the findings where packages have no answer, which pip-audit skips with success."""
    packages = audit(lock)
    skipped = [package["skip_reason"] for package in packages if "skip_reason" in package]
    for package in packages:
        for advisory in package.get("vulns", []):
            mended = ", ".join(advisory["fix_versions"]) or "no version"
            yield Finding("advisory", advisory["id"], f"{package['name']} {package['version']}, mended by {mended}")
    if skipped:
        told = f"{len(skipped)} of {len(packages)} packages have no answer (a mirror of the index?): {skipped[0]}"
        raise NotScanned(f"advisories of {lock.name}: {told}")


def yanked(lock: Path) -> Iterator[Finding]:
    """Versions that their authors took back; raises NotScanned where the index does not answer."""
    env = dict(os.environ)
    # uv does not read pip's configuration; see .ci/install.
    for name, of_pip in (("SSL_CERT_FILE", "PIP_CERT"), ("UV_DEFAULT_INDEX", "PIP_INDEX_URL")):
        if of_pip in env:
            env[name] = env[of_pip]
    with tempfile.TemporaryDirectory() as empty:
        options = ("--dry-run", "--no-config", "--system-certs", "--no-deps", "--require-hashes", "--target", empty)
        command = [sys.executable, "-m", "uv", "pip", "install", *options, "-r", lock]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        told = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1].strip()
        raise NotScanned(f"versions taken back of {lock.name}: uv got no answer: {told}")
    for what, reason in re.findall(r"`([^`]+)` is yanked(?: \(reason: \"(.*)\"\))?", done.stderr):
        yield Finding("yanked", what, reason)


def licences(bom: dict[str, Any], allowed: set[str]) -> Iterator[Finding]:
    """Packages one of whose licences is not allowed, or that tell none."""
    for component in bom["components"]:
        told: set[str] = set()
        for entry in component.get("licenses", []):
            if expression := entry.get("expression"):
                told |= {part for part in re.split(r" (?:AND|OR) |[()]", expression) if part}
            else:
                told.add(entry["license"].get("id") or entry["license"]["name"])
        if not told or told - allowed:
            yield Finding("licence", f"{component['name']}: {', '.join(sorted(told - allowed)) or 'none told'}")


def shipped_licences() -> Iterator[Finding]:
    """What the images hold that is not allowed; their locks must be installed for this Python."""
    installed, allowed = inventory(sys.executable, str(TOOLS)), set(reviewed()["licences"])
    for image in IMAGES:
        yield from licences(document(f"fx-{image}", ROOT / f"deploy/images/{image}.lock", installed), allowed)


def main() -> int:
    if not TOOLS.exists():
        sys.exit(f"{TOOLS} is not there. Run: make tools")
    print(f"{sum(len(list(locked(lock))) for lock in LOCKS)} locked versions, all with hashes.")
    found, not_scanned, kinds = list(shipped_licences()), [], {"licence"}
    for kind, scan in (("yanked", yanked), ("advisory", advisories)):
        try:
            for lock in LOCKS:
                for finding in scan(lock):  # one by one: those before a NotScanned count
                    found.append(finding)
            kinds.add(kind)
        except NotScanned as error:
            not_scanned.append(str(error))
    return report(found, kinds, not_scanned)


if __name__ == "__main__":
    sys.exit(main())

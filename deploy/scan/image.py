"""What an image holds that it should not: python -m deploy.scan.image IMAGE...

An IMAGE is a name that a Docker engine knows, or a file of `docker save`. Debian's updates are asked for by this
machine's apt from the image's own sources. Ends with 0 when clean, 1 with findings that nobody explained, and 3 when
something could not be scanned.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.scan.credentials import credentials
from deploy.scan.reviewed import Finding, NotScanned, report

# Came by the hash of a lock or signed by Debian, and holds examples of credentials.
_PACKAGES = re.compile(r"(usr/)?lib/|usr/(share|local/lib)/|opt/fx/lib/|var/lib/dpkg/info/")
# Exact, since they are written to this machine: an image is not to choose where.
_OF_APT = re.compile(r"etc/apt/sources\.list(\.d/\w[\w.-]*)?|usr/share/keyrings/\w[\w.-]*|var/lib/dpkg/status")
_LARGEST_TEXT = 1_000_000


@dataclass
class Image:
    """An image's configuration, what its file system holds at last, and the credentials of any layer."""

    config: dict[str, Any]
    files: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    apt: dict[str, bytes | str] = field(default_factory=dict)
    secrets: list[Finding] = field(default_factory=list)


def read(path: Path) -> Image:
    """The image of a file that `docker save` wrote."""
    with tarfile.open(path) as saved:
        (manifest,) = json.load(saved.extractfile("manifest.json"))  # type: ignore[arg-type]
        image = Image(json.load(saved.extractfile(manifest["Config"])))  # type: ignore[arg-type]
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=saved.extractfile(name)) as layer:
                _apply(image, layer)
    return image


def _apply(image: Image, layer: tarfile.TarFile) -> None:
    for member in layer:
        path = member.name.removeprefix("./").rstrip("/")
        folder, _, name = path.rpartition("/")
        if name.startswith(".wh."):
            gone = folder if name == ".wh..wh..opq" else f"{folder}/{name[4:]}".lstrip("/")
            for old in [p for p in image.files if p.startswith(f"{gone}/") or (p == gone and gone != folder)]:
                image.files.pop(old)
            continue
        image.files[path] = member
        wanted = _OF_APT.fullmatch(path) is not None
        if not member.isfile():
            if wanted and member.issym():
                image.apt[path] = f"{folder}/{member.linkname}"
            continue
        if not wanted and (member.size > _LARGEST_TEXT or _PACKAGES.match(path)):
            continue
        content = layer.extractfile(member).read()  # type: ignore[union-attr]
        if wanted:
            image.apt[path] = content
        elif b"\0" not in content:
            found = credentials(content.decode("utf-8", "replace"))
            image.secrets += [Finding("secret", f"/{path}", each) for each in found]


def findings(image: Image) -> Iterator[Finding]:
    """Everything but Debian's updates."""
    yield from image.secrets
    for part in ("config", "history"):
        for found in credentials(json.dumps(image.config.get(part), indent=1)):
            yield Finding("secret", f"{part} of the image", found)
    if (image.config["config"].get("User") or "root").partition(":")[0] in ("root", "0"):
        yield Finding("user", "root")
    for path, info in image.files.items():
        if info.isfile() and info.mode & 0o6000:
            yield Finding("setuid", f"/{path}", oct(info.mode))
        sticky = info.isdir() and info.mode & 0o1000
        if (info.isfile() or info.isdir()) and info.mode & 0o002 and not sticky:
            yield Finding("writable", f"/{path}", oct(info.mode))


def updates(image: Image) -> list[Finding]:
    """Packages with a newer version in a security suite; raises NotScanned where apt cannot tell."""
    status = image.apt.get("var/lib/dpkg/status")
    if not isinstance(status, bytes):
        raise NotScanned("Debian's updates: the image has no dpkg")
    architecture = re.search(rb"^Package: (?:apt|dpkg)\n(?:.+\n)*?Architecture: (\w+)", status, re.M)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for inside in ("etc/apt/preferences.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
            (root / inside).mkdir(parents=True)
        for path, content in image.apt.items():
            if isinstance(content, str):
                content = image.apt.get(content)
            if not isinstance(content, bytes):
                continue  # a link to somewhere else
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if path.startswith("etc/apt/"):  # the image's keys, not this machine's
                content = content.replace(b"/usr/share/keyrings", os.fsencode(root / "usr/share/keyrings"))
            (root / path).write_bytes(content)
        options = [f"Dir={root}", f"Dir::State::status={root}/var/lib/dpkg/status", "APT::Sandbox::User="]
        options += [f"APT::Architecture={architecture[1].decode()}"] if architecture else []
        command = ["apt-get", *(word for option in options for word in ("-o", option))]
        told = ""
        for words in (["update", "-qq", "--error-on=any"], ["dist-upgrade", "--simulate", "-qq"]):
            try:
                done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
            except FileNotFoundError:
                raise NotScanned("Debian's updates: this machine has no apt-get") from None
            if done.returncode:
                raise NotScanned(f"Debian's updates: {(done.stderr.strip() or 'apt-get failed').splitlines()[-1]}")
            told = done.stdout
    changes = re.findall(r"^Inst (\S+) \[(\S+)\] \((\S+) (.*?)\)", told, re.M)
    return [Finding("update", name, f"{old} -> {new}") for name, old, new, of in changes if "Debian-Security" in of]


def scan(name: str) -> Image:
    """An image by its name, or the file of one; raises NotScanned where no engine gives it."""
    if Path(name).is_file():
        return read(Path(name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        try:
            subprocess.run(["docker", "save", "--output", path, name], capture_output=True, text=True, check=True)
        except FileNotFoundError:
            raise NotScanned("no docker on this machine") from None
        except subprocess.CalledProcessError as error:
            raise NotScanned(f"docker save: {error.stderr.strip()}") from None
        return read(path)


def main(names: list[str]) -> int:
    found: list[Finding] = []
    not_scanned: list[str] = []
    for name in names:
        try:
            image = scan(name)
            print(f"{name}: {len(image.files)} files")
            found += findings(image)
            found += updates(image)
        except NotScanned as error:
            not_scanned.append(f"{name}: {error}")
    kinds = set() if not_scanned else {"secret", "user", "setuid", "writable", "update"}
    return report(found, kinds, not_scanned)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit((__doc__ or "").strip())
    sys.exit(main(sys.argv[1:]))

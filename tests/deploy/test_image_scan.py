"""deploy/scan/image.py on files as `docker save` writes them; Debian's updates by a real apt from folders."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from deploy.scan.image import findings, main, read, updates
from deploy.scan.reviewed import CLEAN, FOUND, NOT_SCANNED, Finding, NotScanned

STATUS = """Package: {}
Status: install ok installed
Architecture: amd64
Maintainer: some
Version: {}
Description: some

"""
RELEASE = """Origin: Debian
Label: {}
Suite: stable
Codename: some
Architectures: amd64
Date: Sat, 01 Jan 2022 00:00:00 UTC
"""


def layer(*members: tuple[str, int, bytes], links: tuple[tuple[str, str], ...] = ()) -> bytes:
    """A layer of links (path, target) and files (path, mode, content); a path with / at its end is a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, target in links:
            info = tarfile.TarInfo(path)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
        for path, mode, content in members:
            info = tarfile.TarInfo(path.rstrip("/"))
            info.mode, info.size = mode, len(content)
            info.type = tarfile.DIRTYPE if path.endswith("/") else tarfile.REGTYPE
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def saved(tmp_path):
    def save(*layers: bytes, user: str = "10001:10001", env: tuple[str, ...] = ()) -> Path:
        config = {"config": {"User": user, "Env": list(env)}, "history": [{"created_by": "COPY . ."}]}
        names = [f"{number}/layer.tar" for number in range(len(layers))]
        manifest = json.dumps([{"Config": "config.json", "Layers": names}]).encode()
        path = tmp_path / "image.tar"
        files = dict(zip(names, layers, strict=True))
        files |= {"manifest.json": manifest, "config.json": json.dumps(config).encode()}
        path.write_bytes(layer(*((name, 0o644, content) for name, content in files.items())))
        return path

    return save


def test_a_well_made_image_has_no_findings(saved):
    path = saved(layer(("tmp/", 0o1777, b""), ("usr/bin/su", 0o755, b""), ("etc/app.conf", 0o644, b"port = 1\n")))
    assert list(findings(read(path))) == []


def test_rights_that_go_too_far_are_found(saved):
    path = saved(
        layer(("usr/bin/su", 0o4755, b""), ("opt/any", 0o666, b""), ("srv/", 0o777, b""), ("opt/gone", 0o4755, b"")),
        layer(("opt/.wh.gone", 0o644, b"")),
        user="",
    )
    assert set(findings(read(path))) == {
        Finding("user", "root"),
        Finding("setuid", "/usr/bin/su", "0o4755"),
        Finding("writable", "/opt/any", "0o666"),
        Finding("writable", "/srv", "0o777"),
    }


def test_a_credential_is_found_in_any_layer_and_never_told(saved, capsys):
    key = "AKIA" + "QWERTYUIOPASDFGH"
    path = saved(
        layer(("build/.env", 0o600, f"\nKEY={key}\n".encode()), ("usr/share/doc/example", 0o644, key.encode())),
        layer(("build/.wh..env", 0o644, b"")),
        env=("INDEX=https://me:" + "w0rd-of-mine@index.example.org",),
    )
    found = list(findings(read(path)))
    assert [(each.kind, each.what) for each in found] == [("secret", "/build/.env"), ("secret", "config of the image")]
    assert found[0].more == "line 2: AWS key"
    assert main([str(path)]) == FOUND
    told = capsys.readouterr().out
    assert "AWS key" in told
    assert "password in an address" in told
    assert key not in told
    assert "w0rd-of-mine" not in told


def test_an_image_that_no_engine_gives_is_not_scanned(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["fx-nowhere"]) == NOT_SCANNED
    assert "NOT SCANNED: fx-nowhere: no docker on this machine" in capsys.readouterr().out


@pytest.fixture
def repositories(tmp_path, program) -> str:
    """Sources of a repository and of its security suite, in folders."""
    program("apt-get", "apt")
    lines = []
    for label, package, version in (("Debian", "plain", "2.0"), ("Debian-Security", "mended", "1:1.0-1+deb12u1")):
        folder = tmp_path / label
        folder.mkdir()
        stanza = STATUS.format(package, version).replace("Status: install ok installed\n", "")
        filename = "Filename: some.deb\nSize: 1\nSHA256: " + "0" * 64
        (folder / "Packages").write_text(f"{stanza.rstrip()}\n{filename}\n")
        (folder / "Release").write_text(RELEASE.format(label))
        lines.append(f"deb [trusted=yes] file:{folder} ./\n")
    return "".join(lines)


def debian_files(sources: str, *installed: tuple[str, str]) -> bytes:
    status = "".join(STATUS.format(*each) for each in (("dpkg", "1.0"), *installed))
    return layer(("etc/apt/sources.list", 0o644, sources.encode()), ("var/lib/dpkg/status", 0o644, status.encode()))


@pytest.mark.server
def test_pending_security_updates_are_found(saved, repositories):
    path = saved(debian_files(repositories, ("plain", "1.0"), ("mended", "1:1.0-1"), ("other", "1.0")))
    assert updates(read(path)) == [Finding("update", "mended", "1:1.0-1 -> 1:1.0-1+deb12u1")]
    assert main([str(path)]) == FOUND


@pytest.mark.server
def test_an_updated_image_is_clean(saved, repositories):
    path = saved(debian_files(repositories, ("plain", "1.0"), ("mended", "1:1.0-1+deb12u1")))
    assert updates(read(path)) == []
    assert main([str(path)]) == CLEAN


@pytest.mark.server
def test_updates_that_cannot_be_asked_for_are_not_scanned(saved, program, tmp_path):
    program("apt-get", "apt")
    with pytest.raises(NotScanned, match="Debian's updates"):
        updates(read(saved(debian_files(f"deb [trusted=yes] file:{tmp_path / 'nowhere'} ./\n"))))
    assert shutil.which("apt-get")
    with pytest.raises(NotScanned, match="has no dpkg"):
        updates(read(saved(layer())))


@pytest.mark.server
def test_an_image_cannot_write_elsewhere_on_this_machine(saved, repositories, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    up = "../" * 30 + str(outside).lstrip("/")
    path = saved(
        debian_files(repositories),
        layer(links=(("etc/apt/sources.list.d", str(outside)), ("usr/share/keyrings/mine", f"{outside}/linked"))),
        layer(
            ("etc/apt/sources.list.d/one.list", 0o644, repositories.encode()),
            (f"etc/apt/sources.list.d/{up}/two.list", 0o644, b""),
            ("usr/share/keyrings/mine", 0o644, b"key"),
        ),
    )
    updates(read(path))
    assert list(outside.iterdir()) == []


def test_a_key_that_is_a_link_is_the_one_beside_it(saved):
    keys = "usr/share/keyrings"
    image = read(saved(layer((f"{keys}/b.pgp", 0o644, b"key"), links=((f"{keys}/a.gpg", "b.pgp"),))))
    assert image.apt[str(image.apt[f"{keys}/a.gpg"])] == b"key"

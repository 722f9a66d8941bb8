"""deploy/scan: what counts as clean, as found, and as not scanned."""

import hashlib
import os
import subprocess
import threading
import zipfile
from datetime import date
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.scan import dependencies
from deploy.scan.dependencies import LOCKS, advisories, licences, shipped_licences, yanked
from deploy.scan.reviewed import CLEAN, FOUND, NOT_SCANNED, Finding, NotScanned, problems, report, reviewed
from tests.architecture.test_repository import tracked
from tests.servers.platform import ROOT

TODAY = date(2026, 11, 22)
FINDING = Finding("advisory", "PYSEC-1", "some 1.0")
EXCEPTION = {"kind": "advisory", "what": "PYSEC-1", "until": TODAY, "why": "not reachable"}


def test_a_finding_is_told_until_somebody_explained_it():
    assert problems([FINDING], {"advisory"}, [], TODAY) == ["advisory: PYSEC-1: some 1.0"]
    assert problems([FINDING], {"advisory"}, [EXCEPTION], TODAY) == []


def test_an_exception_ends_with_its_day_and_with_what_it_explains():
    (told,) = problems([FINDING], {"advisory"}, [EXCEPTION | {"until": date(2026, 11, 21)}], TODAY)
    assert "was explained until 2026-11-21" in told
    (told,) = problems([], {"advisory"}, [EXCEPTION], TODAY)
    assert "not found any more" in told
    assert problems([], {"licence"}, [EXCEPTION], TODAY) == []  # what was not scanned is not said to be gone


def test_not_scanned_is_neither_clean_nor_found(capsys):
    assert report([], set(), []) == CLEAN
    assert report([], set(), ["advisories"]) == NOT_SCANNED
    assert "NOT SCANNED: advisories" in capsys.readouterr().out
    assert report([FINDING], set(), ["advisories"]) == FOUND


def test_advisories_of_a_version_are_findings(monkeypatch):
    advisory = {"id": "PYSEC-1", "fix_versions": ["1.1"]}
    monkeypatch.setattr(dependencies, "audit", lambda lock: [{"name": "some", "version": "1.0", "vulns": [advisory]}])
    assert list(advisories(LOCKS[0])) == [Finding("advisory", "PYSEC-1", "some 1.0, mended by 1.1")]


def test_a_package_without_an_answer_is_not_scanned(monkeypatch):
    answer = [
        {"name": "other", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]},
        {"name": "some", "skip_reason": "not found"},
    ]
    monkeypatch.setattr(dependencies, "audit", lambda lock: answer)
    scan = advisories(LOCKS[0])
    assert next(scan) == Finding("advisory", "PYSEC-1", "other 2.0, mended by no version")
    with pytest.raises(NotScanned, match=r"1 of 2 packages have no answer.*: not found"):
        next(scan)


@pytest.mark.server
def test_advisories_that_cannot_be_asked_for_are_not_scanned(tools, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the port that throws everything away; nothing listens there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NotScanned, match=r"advisories of helm\.txt"):
        list(advisories(LOCKS[0]))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index on this machine with fx-kept 1.0 and fx-recalled 1.0, which was taken back; gives its lock."""
    lock = ""
    for name, mark in (("fx_kept", ""), ("fx_recalled", ' data-yanked="broken build"')):
        wheel = tmp_path / f"{name}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            about = f"{name}-1.0.dist-info"
            archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{about}/RECORD", "")
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        project = name.replace("_", "-")
        (tmp_path / project).mkdir()
        link = f'<a href="../{wheel.name}#sha256={digest}"{mark}>{wheel.name}</a>'
        (tmp_path / project / "index.html").write_text(f"<!DOCTYPE html><html><body>{link}</body></html>")
        lock += f"{project}==1.0 --hash=sha256:{digest}\n"
    (tmp_path / "some.lock").write_text(lock)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path / "some.lock"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_version_that_was_taken_back_is_found(index: Path):
    assert list(yanked(index)) == [Finding("yanked", "fx-recalled==1.0", "broken build")]


def test_an_index_that_does_not_answer_is_not_scanned(index: Path):
    index.write_text(index.read_text().replace("fx-recalled", "fx-nowhere"))
    with pytest.raises(NotScanned, match=r"versions taken back of some\.lock"):
        list(yanked(index))


def test_every_lock_is_scanned():
    """A new lock has to be among them, or be a part of one."""
    hashed = {p for p in tracked() if p.suffix in (".lock", ".txt") and "==" in p.read_text()}
    parts = {ROOT / f"deploy/images/{image}.lock" for image in dependencies.IMAGES}
    assert hashed - parts == set(LOCKS)


@pytest.mark.parametrize(
    ("scan", "containers", "taken_s", "code", "told"),
    [
        (CLEAN, 0, 0, 0, "Scan of the locked versions: clean"),
        (FOUND, 0, 0, 1, "Scan of the locked versions: FAILED"),
        (NOT_SCANNED, 0, 0, 0, "Scan of the locked versions: NOT COMPLETE"),
        (CLEAN, 1, 0, 1, "Tests in containers: FAILED"),
        (CLEAN, 3, 0, 0, "Tests in containers: NOT RUN"),
        (CLEAN, 1, 3000, 1, "Tests in containers: FAILED"),
        (CLEAN, 1, 3400, 0, "Tests in containers: NOT RUN"),
    ],
)
def test_continuous_integration_scans_the_locks_and_starts_containers(tmp_path, scan, containers, taken_s, code, told):
    """What .ci/run does once everything is installed, with programs in place of the scan and the tests."""
    programs = {
        ".venv/bin/python": f'[ "$*" = "-m deploy.scan.dependencies" ] && echo what it says && exit {scan}; exit 99',
        "bin/make": 'echo "== 3 passed in 1.20s =="',
        ".ci/containers": f'echo "2 passed in 9.20s"; exit {containers}',
    }
    for name, text in programs.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    start, found, end = (ROOT / ".ci/run").read_text().partition('log="$(mktemp)"')
    script = f"set -euo pipefail\nstarted=$((SECONDS - {taken_s}))\n{found}{end}"
    env = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert "make venv tools" in start
    lines = done.stdout.splitlines()
    assert told in lines
    assert "what it says" in lines
    run = ["2 passed in 9.20s"] if taken_s < 3300 else []
    assert lines[-1 - len(run) :] == ["== 3 passed in 1.20s ==", *run]
    assert done.returncode == code


@pytest.mark.server
def test_every_shipped_licence_is_allowed_or_explained(tools):
    exceptions = [entry for entry in reviewed()["exceptions"] if entry["kind"] == "licence"]
    assert problems(shipped_licences(), {"licence"}, exceptions, min(entry["until"] for entry in exceptions)) == []


def test_every_exception_has_a_reason_and_a_day():
    for entry in reviewed()["exceptions"]:
        assert set(entry) == {"kind", "what", "until", "why"}
        assert isinstance(entry["until"], date)
        assert len(entry["why"]) > 10


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([{"license": {"id": "MIT"}}], []),
        ([{"expression": "MIT AND AGPL-3.0-only"}], [Finding("licence", "some: AGPL-3.0-only")]),
        ([{"license": {"name": "Ours (2.0)"}}], [Finding("licence", "some: Ours (2.0)")]),
        ([], [Finding("licence", "some: none told")]),
    ],
)
def test_licences_that_are_not_allowed_are_found(told, found):
    assert list(licences({"components": [{"name": "some", "licenses": told}]}, {"MIT"})) == found

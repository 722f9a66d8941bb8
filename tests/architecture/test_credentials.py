"""No credential is in a file of this repository, but for examples that deploy/scan/reviewed.yaml names."""

import pytest

from deploy.scan.credentials import credentials
from deploy.scan.reviewed import reviewed
from tests.architecture.test_repository import ROOT, tracked

LISTS = {"deploy/scan/reviewed.yaml"}


def texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        name, content = path.relative_to(ROOT).as_posix(), path.read_bytes()
        if path.suffix != ".lock" and name not in LISTS and b"\0" not in content[:2000]:
            found[name] = content.decode("utf-8", "replace")
    return found


def test_no_file_holds_a_credential():
    held = texts()
    assert [f"{name}: {found}" for name, text in held.items() for found in credentials(text)] == []
    whole = "\n".join(held.values())
    assert [example for example in reviewed()["examples"] if str(example) not in whole] == []


@pytest.mark.parametrize(
    "text",
    [
        "key = 'AKIA" + "QWERTYUIOPASDFGH'",
        "-----BEGIN " + "RSA PRIVATE KEY-----",
        "postgresql://fx:" + "my-own-w0rd@host/fx",
        "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8",
    ],
)
def test_credentials_are_found_by_line(text):
    (found,) = credentials(f"first\n{text}\n")
    assert found.startswith("line 2: ")


@pytest.mark.parametrize(
    "text", ["redis://:" + "{PASSWORD}@host", "a://fx:" + "$WORD@host", "x://user:" + "hunter2@host"]
)
def test_templates_and_examples_are_none(text):
    assert credentials(text) == []

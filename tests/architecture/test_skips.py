"""The rule of tests/conftest.py on skipped tests, tried on a test suite of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
SUITE = """
import pytest

def test_passes():
    pass

def test_needs_a_program(program):
    program("no-such-program-anywhere", "its-package")

@pytest.mark.skip(reason="marked")
def test_marked():
    pass
"""
WHOLE_MODULE = 'import pytest\npytest.importorskip("no_such_module_anywhere")\n'


def run(folder: Path, require_all: bool, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_some.py").write_text(SUITE)
    (folder / "test_module.py").write_text(WHOLE_MODULE)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "FX_"))}
    env |= {"FX_REQUIRE_ALL": "1"} if require_all else {}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_without_it_a_skip_says_how_to_get_the_program(tmp_path):
    done = run(tmp_path, False)
    assert done.returncode == 0, done.stdout
    assert "sudo apt install its-package" in done.stdout
    assert "1 passed, 3 skipped" in done.stdout


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_under_require_all_every_skip_fails_with_its_reason(tmp_path, processes):
    done = run(tmp_path, True, "--continue-on-collection-errors", *processes)
    assert done.returncode == 1, done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 failed, 1 passed, 2 errors")
    # A mark skips in the setup, which pytest calls an error; importorskip while collecting, which is one too.
    for reason in ("sudo apt install its-package", "marked", "no_such_module_anywhere"):
        assert reason in done.stdout

"""Rules about the repository's files: the lock, machine paths, sizes, docstrings. Imports no package."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("fx_assets", "fx_serving", "fx_monitoring")
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".cfg",
    ".sh",
    ".ipynb",
    ".json",
    ".html",
    ".css",
    ".js",
    ".lock",
    "",
}
#: Folders of one developer's or one container's machine. Written so that this file does not hold one itself.
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:root|home|Users|work|tmp/w)" + "/[a-z.]")
REGISTRY = re.compile(r"index-url|find-links|trusted-host|https?://[^ \"')]*/simple\b", re.IGNORECASE)


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def tracked() -> list[Path]:
    """Files git tracks or would track; every file below the known folders where there is no git."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            # Owned by another user in a container; reading a list of files is harmless.
            ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        paths = [ROOT / name for name in listed.split("\0") if name]
    else:
        paths = [p for folder in (*PACKAGES, "tests", "deploy", "docs") for p in (ROOT / folder).rglob("*")]
        paths += ROOT.glob("*.*")
    return [path for path in paths if path.is_file() and "__pycache__" not in path.parts]


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9_.-]+", requirement)
    assert found, requirement
    return found.group().lower().replace("_", "-")


# Where there is no CPU build of it, torch brings several GB of CUDA packages.
NOT_LOCKED = {"torch"}


def test_every_direct_dependency_is_locked_at_one_version():
    locked = re.findall(r"^([a-z0-9.-]+)(?:\[[a-z0-9, -]+\])?==", LOCK, re.MULTILINE)
    direct = {name_of(r) for r in PROJECT["dependencies"]}
    direct |= {name_of(r) for extra in PROJECT["optional-dependencies"].values() for r in extra}
    direct -= NOT_LOCKED
    assert direct <= set(locked)
    assert not NOT_LOCKED & set(locked)
    assert all(locked.count(name) == 1 for name in direct)


def test_every_locked_package_has_hashes():
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) > 200
    assert not [block.split()[0] for block in blocks if "--hash=sha256:" not in block]


def test_the_lock_names_no_registry_and_no_machine():
    assert "make lock" in LOCK.splitlines()[1]
    assert "://" not in LOCK
    assert not re.search(r"(?:^|\s)/\w", LOCK)


def test_base_dependencies_are_the_light_set():
    heavy = {
        "dagster",
        "mlflow",
        "feast",
        "pandas",
        "xgboost",
        "evidently",
        "scikit-learn",
        "scipy",
        "pyarrow",
    }
    assert not {name_of(r) for r in PROJECT["dependencies"]} & heavy


def test_no_file_names_a_machine_or_a_registry():
    found = []
    for path in tracked():
        if path.suffix not in TEXT or path == Path(__file__) or path.name == "requirements.lock":
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            # The Makefile names the option that keeps the registry out of the lock.
            if MACHINE_PATH.search(line) or REGISTRY.search(line.replace("--no-emit-index-url", "")):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("cd /root" + "/project", True),
        ("open('/home" + "/me/file')", True),
        ("--extra-" + "index-url https://host", True),
        ("https://host" + "/simple/", True),
        ("${HOME}/work/file and ./work/file", False),
        ("https://example.org/work/things", False),
    ],
)
def test_the_machine_and_registry_patterns_find_what_they_should(line, wrong):
    assert bool(MACHINE_PATH.search(line) or REGISTRY.search(line)) is wrong


def test_no_source_file_is_over_400_lines():
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_every_module_says_what_belongs_in_it():
    silent = [str(p.relative_to(ROOT)) for p in sources() if not ast.get_docstring(ast.parse(p.read_text()))]
    assert not silent


def test_every_folder_of_modules_is_a_package():
    """A folder without __init__.py works from the checkout, and is missing from a wheel."""
    folders = {path.parent for path in sources()}
    assert not [str(f.relative_to(ROOT)) for f in folders if not (f / "__init__.py").is_file()]


def test_asset_modules_do_not_postpone_annotations():
    """Dagster reads the annotations of assets, checks, ops, sensors and schedules when it decorates them."""
    defines = re.compile(
        r"^@(?:dg|dagster)\.|^@(?:asset|multi_asset|graph_asset|asset_check|op|sensor|schedule)\b", re.M
    )
    wrong = [
        str(path.relative_to(ROOT))
        for path in sources()
        if defines.search(text := path.read_text()) and "from __future__ import annotations" in text
    ]
    assert not wrong

"""fx doctor: whether this machine and configuration can run the platform; each problem with its remedy."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from fx_assets.cli.common import Home, use_home
from fx_assets.errors import FxError

PACKAGES = (
    "dagster",
    "dagster-webserver",
    "mlflow",
    "feast",
    "xgboost",
    "lightgbm",
    "catboost",
    "evidently",
    "onnxruntime",
    "numba",
)
PORTS = {"Dagster UI": 3000, "deployment service": 8700, "MLflow": 5000}
FREE_GIB = 2
MEMORY_GIB = 3

Finding = tuple[bool, str, str]


def doctor(home: Home = None) -> None:
    """Check Python, packages, configuration, disk, memory and ports. Exit code 1 when something must be mended."""
    from rich.console import Console
    from rich.text import Text

    folder = use_home(home)
    console = Console()
    findings = list(examine(folder))
    for good, what, remedy in findings:
        verdict = Text("ok ", "green") if good else Text("bad", "red")
        # Text, not markup: an error's words may hold brackets. No wrapping: they may be searched for.
        console.print(verdict, Text(f" {what}" if good else f" {what}\n     {remedy}"), soft_wrap=True)
    bad = sum(not good for good, _, _ in findings)
    console.print("everything is well" if not bad else f"{bad} to mend")
    if bad:
        raise typer.Exit(1)


def examine(home: Path) -> Iterator[Finding]:
    """(well, what was found, remedy) of every check."""
    running = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    yield (
        (3, 11) <= sys.version_info[:2] <= (3, 13),
        running,
        "Use Python 3.11, 3.12 or 3.13: make venv PYTHON=python3.13",
    )
    yield from _packages()
    yield from _configuration()
    yield from _openmp()
    yield from _online(home)
    yield from _disk(home)
    yield from _memory()
    yield from _ports(home)


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield True, f"{name} {version(name)}", ""
        except PackageNotFoundError:
            yield False, f"{name} is not installed", "Run make venv, or pip install 'fx-platform[platform]'"


def _configuration() -> Iterator[Finding]:
    from fx_assets.configuration import config_file, load_configuration
    from fx_assets.stack.environment import INSTANCE, WORKSPACE, use_replay_clock
    from fx_serving.client.clock import now

    try:
        found = load_configuration()
        use_replay_clock(found)
        names = f"{len(found.instruments.instruments)} instruments, {len(found.models.models)} models"
        yield True, f"configuration in {config_file('models.yaml').parent}: {names}", ""
    except FxError as error:
        yield False, "configuration", str(error)
    try:
        yield True, f"data clock {now():%Y-%m-%d %H:%M:%S} UTC", ""
    except ValueError as error:
        yield False, "data clock", str(error)
    for path in (WORKSPACE, INSTANCE):
        yield path.exists(), f"{path.name}", f"{path} is missing: run fx from a checkout of the project"


def _openmp() -> Iterator[Finding]:
    """LightGBM's wheel brings no OpenMP runtime: asked for only where a model has such a candidate or search."""
    from ctypes.util import find_library

    from fx_assets.configuration import load_configuration

    try:
        models = load_configuration().models.models.values()
    except FxError:
        return  # the configuration, which has been told
    if "lightgbm" in {part.algorithm for m in models for part in (*m.candidates, *((m.search,) if m.search else ()))}:
        yield (
            find_library("gomp") is not None,
            "libgomp, the OpenMP runtime of lightgbm",
            "On Debian or Ubuntu: sudo apt install libgomp1; or use another algorithm in models.yaml",
        )


def _online(home: Path) -> Iterator[Finding]:
    from fx_assets.cli.online import online_finding
    from fx_assets.configuration import load_configuration

    try:
        yield online_finding(home, load_configuration())
    except FxError:
        return  # the configuration, which has been told


def _disk(home: Path) -> Iterator[Finding]:
    place = next(p for p in (home, *home.parents) if p.exists())
    free = shutil.disk_usage(place).free / 2**30
    yield (
        free >= FREE_GIB,
        f"{free:.0f} GiB free below {place}",
        f"At least {FREE_GIB} GiB are needed: free some, or set FX_HOME",
    )
    probe = place / ".fx-doctor"
    try:
        probe.touch()
        probe.unlink()
        yield True, f"{place} can be written", ""
    except OSError as error:
        yield False, f"{place} cannot be written: {error.strerror}", "Mend its permissions, or set FX_HOME"


def _memory() -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    yield free >= MEMORY_GIB, f"{free:.1f} GiB memory available", f"The demo needs {MEMORY_GIB} GiB: end other programs"


def _ports(home: Path) -> Iterator[Finding]:
    from fx_assets.stack.ports import holder

    for what, port in PORTS.items():
        try:
            found = holder(port)
        except FxError as error:
            yield False, str(error), f"Choose another port for {what}: fx up --help"
            continue
        yield (
            found is None,
            f"port {port} for {what}" + (f" is in use by {found}" if found else " is free"),
            ("Stop it if it is not this platform's own, or choose another port: fx up --help"),
        )

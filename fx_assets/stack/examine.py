"""Whether this machine and configuration can run the platform: for `fx doctor` and for the environment check.

Every check yields (well, what was found, remedy) and starts nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fx_assets.configuration import Configuration
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
PORTS = {"Dagster UI": 3000, "deployment service": 8700, "MLflow": 5000, "exporter": 8710, "report service": 8720}
DEFAULT_HOME = str(Path(__file__).parents[2] / ".fx")
FREE_GIB = 2
MEMORY_GIB = 3.0

Finding = tuple[bool, str, str]


def examine(home: Path, *, ports: bool = True, memory_gib: float = MEMORY_GIB) -> Iterator[Finding]:
    """Every check. ports: whether those of `fx up` must be free, or held by this home's own services."""
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
    yield from _memory(memory_gib)
    if ports:
        yield from _ports(home)


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield True, f"{name} {version(name)}", ""
        except PackageNotFoundError:
            yield False, f"{name} is not installed", "Run make venv, or pip install 'fx-platform[platform]'"


def _configuration() -> Iterator[Finding]:
    from fx_assets.configuration import config_file, load_configuration
    from fx_assets.configuration.load import overlays
    from fx_assets.stack.environment import INSTANCE, WORKSPACE, use_replay_clock
    from fx_serving.client.clock import now

    try:
        found = load_configuration()
        use_replay_clock(found)
        names = f"{len(found.instruments.instruments)} instruments, {len(found.models.models)} models"
        yield True, f"configuration in {config_file('models.yaml').parent}: {names}", ""
        if laid := overlays():
            names = ", ".join(sorted(path.name for path in laid.values()))
            yield True, f"FX_ENV={os.environ['FX_ENV']}: {names} laid over it", ""
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
    from fx_assets.configuration import load_configuration

    try:
        yield online_finding(home, load_configuration())
    except FxError:
        return  # the configuration, which has been told


def online_finding(home: Path, configuration: Configuration) -> Finding:
    """Whether the online feature store answers. A home without a SQLite file yet is well: nothing was made."""
    from fx_assets.feature_store.repository import online_store

    kind = configuration.data.feature_store.online
    try:
        store = online_store(home, configuration)
        if kind == "redis" or Path(store.where).exists():
            store.ping()
            return True, f"online feature store {kind} at {store.where} answers", ""
        return True, f"online feature store {kind}: nothing made yet", ""
    except FxError as error:
        return False, f"online feature store {kind} does not answer", str(error)


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


def _memory(wanted_gib: float) -> Iterator[Finding]:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    remedy = f"At least {wanted_gib:g} GiB are needed: end other programs"
    yield free >= wanted_gib, f"{free:.1f} GiB memory available", remedy


def _ports(home: Path) -> Iterator[Finding]:
    from fx_assets.stack.ports import listener

    for what, port in PORTS.items():
        try:
            found = listener(port)
        except FxError as error:
            yield False, str(error), f"Choose another port for {what}: fx up --help"
            continue
        if found is None:
            yield True, f"port {port} for {what} is free", ""
        elif found.pid is not None and serves_home(found.pid, home):
            yield True, f"port {port} for {what} is held by this home's own {found.told}", ""
        else:
            remedy = "Stop it, or choose another port: fx up --help"
            yield False, f"port {port} for {what} is in use by {found.told}", remedy


def serves_home(pid: int, home: Path) -> bool:
    """Whether a process is one of a home's own services: started with its FX_HOME, as `fx up` does, or by hand with
    --home, or with neither, which is the checkout's own home.
    """
    import psutil

    try:
        process = psutil.Process(pid)
        given, command = process.environ().get("FX_HOME", "").strip(), process.cmdline()
        named = _option(command, "--home") or given or (DEFAULT_HOME if _is_ours(command) else "")
        place = Path(process.cwd(), Path(named).expanduser())
    except (psutil.Error, OSError):  # another user's process, or one that has just ended
        return False
    return pid != os.getpid() and bool(named) and place.resolve() == home.resolve()


def _option(command: Sequence[str], name: str) -> str | None:
    """The value of an option on a command line."""
    for at, part in enumerate(command):
        if part == name:
            return next(iter(command[at + 1 :]), None)
        if part.startswith(f"{name}="):
            return part.partition("=")[2]
    return None


def _is_ours(command: Sequence[str]) -> bool:
    """Whether a command line is that of `fx`, or of one of the project's own modules."""
    return any(Path(part).name == "fx" or part.startswith(("fx_serving", "fx_monitoring")) for part in command[:3])

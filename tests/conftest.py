"""What every test shares: an environment of its own, skips that count, and how to ask for programs.

Fixtures of one area belong into that area's conftest.py.
"""

import gc
import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.counts import count, describe

REQUIRE_ALL = os.environ.get("FX_REQUIRE_ALL") == "1"

# Before anything reads them. No test may depend on, or write to, what the developer's shell points at.
for _name in (
    "FX_HOME",
    "FX_CLOCK",
    "FX_CONFIG_DIR",
    "FX_ENV",
    "FX_SECRETS_DIR",
    "FX_SECRETS_COMMAND",
    "FX_SECRETS_READ",
    "DAGSTER_HOME",
    "FX_REDIS_URL",
    "FX_REGISTRY_URL",
    "FX_STATE_URL",
    "FX_MLFLOW_URL",
    "FX_DASK_ADDRESS",
    "MLFLOW_TRACKING_URI",
):
    os.environ.pop(_name, None)
os.environ |= {
    "DO_NOT_TRACK": "1",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MPLBACKEND": "Agg",
    # XGBoost's threads otherwise spin while they wait, which starves the other test process.
    "OMP_WAIT_POLICY": "PASSIVE",
}

# A shell starts background jobs with Ctrl-C ignored, and so would be everything that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two test processes share two cores: a deadline for one example would measure the neighbour. Under
# FX_REQUIRE_ALL the examples are the same every time, so that a red run is red again when it is repeated.
settings.register_profile("fx", deadline=None, derandomize=REQUIRE_ALL, max_examples=count("property_examples"))
settings.load_profile("fx")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What collecting makes stays: looking through it again and again finds nothing, and takes a fifth of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """Leave what was collected, a million objects in each test process, out of every later look. What tests leave
    behind is looked for as often as ever: it may hold files open.
    """
    gc.collect()
    gc.freeze()
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often repeated tests repeated."""
    terminalreporter.write_line(describe())


# What commands set for everything they call. Not AWS_*: servers shared by a whole run are named there.
_OF_A_HOME = ("FX_", "OANDA_", "DAGSTER_", "MLFLOW_", "PYTHONWARNINGS")


def _of_a_home() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_OF_A_HOME)}


@contextmanager
def _unchanged_home() -> Iterator[None]:
    before = _of_a_home()
    yield
    for name in _of_a_home().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture(scope="module", autouse=True)
def _home_of_a_file() -> Iterator[None]:
    """What the fixtures of one file call, as `fx practice` with its clock, leaves no trace in another file's tests."""
    with _unchanged_home():
        yield


@pytest.fixture(autouse=True)
def _home_of_a_test(_home_of_a_file: None) -> Iterator[None]:
    """Nor does a command that one test calls leave one in the next."""
    with _unchanged_home():
        yield


@pytest.fixture(scope="session")
def program() -> Callable[[str, str], str]:
    """program(name, package) -> path of an executable; skips with the command that installs it."""

    def find(name: str, package: str) -> str:
        path = shutil.which(name)
        if path is None:
            pytest.skip(f"{name} is not installed. On Debian or Ubuntu: sudo apt install {package}")
        return path

    return find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, the slowest before the others: begun last, it would be waited for alone."""
    seconds: dict[Path, float] = {}
    for item in items:
        if marker := item.get_closest_marker("slow"):
            seconds[item.path] = max(seconds.get(item.path, 0), *marker.args, 10)
    items.sort(key=lambda item: -seconds.get(item.path, 0))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Which test process runs what."""
    from tests.lanes import scheduling

    return scheduling(config, log)


def _fail_if_skipped(report: pytest.CollectReport | pytest.TestReport) -> None:
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        where, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", "", report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"FX_REQUIRE_ALL=1 allows no skipped test.\n{where}:{line}: {reason}"


def _skip_without_openmp() -> Generator[None, None, None]:
    """LightGBM's package brings no OpenMP runtime: where the system has none, its tests say how to get it."""
    from fx_assets.errors import ConfigError

    try:
        return (yield)
    except ConfigError as error:
        if "libgomp" not in str(error):
            raise
        pytest.skip(str(error))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, None, None]:
    return (yield from _skip_without_openmp())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    return (yield from _skip_without_openmp())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Under FX_REQUIRE_ALL=1 a skipped test is a failed one: quiet is not healthy."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself, as importorskip does."""
    report = yield
    _fail_if_skipped(report)
    return report

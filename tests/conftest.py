"""What every test shares: an environment of its own, skips that count, and how to ask for programs.

Fixtures of one area belong into that area's conftest.py.
"""

import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.counts import count, describe

REQUIRE_ALL = os.environ.get("FX_REQUIRE_ALL") == "1"

# Before anything reads them. No test may depend on, or write to, what the developer's shell points at.
for _name in (
    "FX_HOME",
    "FX_CLOCK",
    "FX_CONFIG_DIR",
    "DAGSTER_HOME",
    "FX_REDIS_URL",
    "FX_REGISTRY_URL",
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

# Two test processes share two cores: a deadline for one example would measure the neighbour. Under
# FX_REQUIRE_ALL the examples are the same every time, so that a red run is red again when it is repeated.
settings.register_profile("fx", deadline=None, derandomize=REQUIRE_ALL, max_examples=count("property_examples"))
settings.load_profile("fx")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the feature kernels once, before each of several test processes would do it for itself."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        from tests.compiled import compile_kernels

        compile_kernels()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how often repeated tests repeated."""
    terminalreporter.write_line(describe())


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

"""Objects of Kubernetes: rendered by Helm's own engine, and held against the schemas of the API."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy.scan.dependencies import TOOLS
from tests.servers.platform import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
CHART = KUBERNETES / "fx-serving"
#: The oldest one that the chart says it needs, and the newest one whose schemas are installed.
VERSIONS = ("1.27", "1.37")
GIVEN = {"secretName": "fx-serving", "bundles": {"claimName": "fx-bundles"}}


def assert_valid(thing: dict[str, Any]) -> None:
    """Hold an object against the strict schemas: an unknown field fails, too."""
    for version in VERSIONS:
        kubernetes_validate.validate(thing, version, strict=True)


def merged(base: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Values over values, as Helm lays them."""
    both = {key: merged(base[key], more[key]) for key in base.keys() & more.keys() if isinstance(more[key], dict)}
    return base | more | both


def parse_command(command: list[str]) -> None:
    """Let the command's own parser read its arguments. Raises click.UsageError."""
    import typer.main
    from dagster._cli import cli as dagster
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import dagster_webserver

    from fx_serving.cli import app

    known = {
        "dagster": dagster,
        "dagster-webserver": dagster_webserver,
        "dagster-daemon": create_dagster_daemon_cli(),
        "fx": typer.main.get_command(app),
    }
    at: Any = known[command[0]]
    words = command[1:]
    while hasattr(at, "commands"):
        at, words = at.commands[words[0]], words[1:]
    at.make_context(command[0], list(words))


@pytest.fixture(scope="session")
def tools() -> str:
    """A Python with cyclonedx-bom and pip-audit; skips with how to get it."""
    if not TOOLS.exists():
        pytest.skip("what scans the locks is not installed: make tools")
    return str(TOOLS)


@pytest.fixture(scope="session")
def helm() -> Any:
    """The module of Helm's engine; skips with how to get it."""
    lock = Path(__file__).with_name("helm.txt").relative_to(ROOT)
    reason = f"Helm's engine is not installed: .venv/bin/python -m pip install --no-deps -r {lock}"
    return pytest.importorskip("helm_python", reason=reason)


@pytest.fixture(scope="session")
def rendered(helm: Any) -> Callable[..., dict[str, dict[str, Any]]]:
    """rendered(values) -> the chart's objects as `helm template` makes them, by "Kind/name"."""

    def render(values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        values = merged(GIVEN, values or {})
        with helm.Chart.load(CHART) as chart:
            chart.validate_schema(values)
            texts = chart.render(values, name="fx-serving", namespace="fx")
        things = [thing for name, text in texts.items() if name.endswith(".yaml") for thing in yaml.safe_load_all(text)]
        return {f"{thing['kind']}/{thing['metadata']['name']}": thing for thing in things if thing}

    return render

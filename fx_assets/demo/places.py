"""Where a demo runs, and the one on this machine: services and runs as processes of its own, on free ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import httpx

from fx_assets.configuration import Configuration
from fx_assets.runs.plan import PlannedRun, RunEvent
from fx_assets.runs.start import execute_plan
from fx_assets.stack.ports import free_port
from fx_assets.stack.stack import Ports, Stack

Tell = Callable[[str], None]


class Place(Protocol):
    """A platform that a demo can use. home: its stores, as files of this machine."""

    home: Path
    predictions: str
    clock: str
    patience_s: float  # how long a client asks again while nobody listens
    logs: str  # where a person looks

    def start(self, tell: Tell) -> None:
        """Begin to start what does not run yet; `wait_ready` waits for it."""

    def wait_ready(self) -> None:
        """Wait until every service answers. Raises FxError."""

    def execute(self, plans: Sequence[PlannedRun], on_event: Callable[[RunEvent], None]) -> None:
        """Execute runs one after another. Raises FxError at the first that fails."""

    def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What Dagster's webserver answers to a question. Raises FxError."""
        ...


class Here:
    """Services of a home on free ports; runs are executed by a child of this process."""

    patience_s = 0.0

    def __init__(self, stack: Stack):
        self._stack = stack
        self.home = stack.home
        self.predictions = stack.addresses["predictions"]
        self.clock = stack.environment["FX_CLOCK"]
        self.logs = f"logs: {stack.home / 'logs'}"

    def start(self, tell: Tell) -> None:
        """Start every service."""
        self._stack.start(lambda name: tell(f"starting {name}"))

    def wait_ready(self) -> None:
        """Wait until every service answers. Raises FxError."""
        self._stack.wait_ready()

    def execute(self, plans: Sequence[PlannedRun], on_event: Callable[[RunEvent], None]) -> None:
        """Execute runs. Raises RunFailed."""
        execute_plan(list(plans), self._stack.environment, self.home / "logs" / "runs.log", on_event)

    def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the webserver."""
        url = self._stack.addresses["Dagster UI"] + "/graphql"
        question = {"query": query, "variables": dict(variables)}
        return httpx.post(url, json=question, timeout=30, trust_env=False).json()["data"]


@contextmanager
def here(home: Path, configuration: Configuration) -> Iterator[Here]:
    """A platform on this machine, which ends with the block."""
    ports = Ports(dagster=free_port(), serving=free_port(), mlflow=None)
    with Stack(home, configuration, ports) as stack:
        yield Here(stack)

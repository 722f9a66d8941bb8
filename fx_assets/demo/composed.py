"""A demo of the platform in containers (deploy/compose.yaml), through the doors that its users have: Dagster's GraphQL
and the predictions, both behind the proxy. Its folder is read as files, since both are on this machine.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from fx_assets.errors import FxError
from fx_assets.runs.launched import AWAY_S, POLL_S, REPOSITORY, LaunchedRuns, Webserver
from fx_assets.runs.plan import PlannedRun, RunEvent

UI_PORT, PREDICTIONS_PORT = "FX_UI_PORT", "FX_PREDICTIONS_PORT"
READY_S = 300.0
#: Promotes what the demo trains a second time; whoever looks around afterwards rolls that out by hand.
PAUSED = "roll_out_promoted"

_SENSORS = """mutation Stop($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }"""
_FIND = """query Find($selector: SensorSelector!) { sensorOrError(sensorSelector: $selector) {
  ... on Sensor { id sensorState { id } } ... on Error { message } } }"""


class Composed:
    """The platform of one folder (`make up`)."""

    patience_s = AWAY_S

    def __init__(self, folder: Path):
        """folder: as deploy/compose/prepare.py made it. Raises FxError where there is none."""
        secrets = folder / "secrets"
        try:
            password = (secrets / "OPERATOR_PASSWORD").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            raise FxError(f"{folder}: no composed platform was prepared there. Run make up first.") from None
        except PermissionError:
            raise FxError(f"{secrets}: not readable. Call this as the user who ran make up.") from None
        self.home = folder / "home"
        self.clock = ""
        self.predictions = f"https://localhost:{os.environ.get(PREDICTIONS_PORT, '8444')}"
        self.logs = "logs: docker logs fx-daemon, and the run in the UI"
        # What its clients read: the certificate is the folder's own.
        os.environ["FX_SERVING_CA"] = str(secrets / "proxy.crt")
        os.environ["FX_SERVING_TOKEN"] = (secrets / "FX_SERVING_TOKEN").read_text().strip()
        self.ui = f"https://localhost:{os.environ.get(UI_PORT, '8443')}"
        http = httpx.Client(base_url=self.ui, auth=("operator", password), verify=_trust(), timeout=30, trust_env=False)
        self._webserver = Webserver(http)

    def start(self, tell: Callable[[str], None]) -> None:
        """It runs already. Its own rollouts of what is promoted pause, so that the demo's are the only ones."""
        tell(f"using the platform in {self.home.parent}")
        selector = {"repositoryName": REPOSITORY, "repositoryLocationName": "fx_assets", "sensorName": PAUSED}
        found = self.graphql(_FIND, {"selector": selector})["sensorOrError"]
        if "id" not in found:
            raise FxError(f"Dagster knows no sensor {PAUSED}: {found.get('message')}")
        self.graphql(_SENSORS, {"id": found["sensorState"]["id"]})

    def wait_ready(self) -> None:
        """Whether the service answers; `make up` has waited for everything else."""
        deadline = time.monotonic() + READY_S
        while True:
            try:
                httpx.get(f"{self.predictions}/health", verify=_trust(), trust_env=False).raise_for_status()
                return
            except httpx.HTTPError as error:
                if time.monotonic() > deadline:
                    raise FxError(f"{self.predictions}: {error}. Run make up, and look at docker ps.") from None
                time.sleep(POLL_S)

    def graphql(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What the webserver answers to a question. Raises FxError."""
        return self._webserver.ask(query, variables)

    def execute(self, plans: Sequence[PlannedRun], on_event: Callable[[RunEvent], None]) -> None:
        """Launch runs one after another, each in a container of its own. Raises RunFailed."""
        LaunchedRuns(self._webserver).execute(plans, on_event)


def _trust() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=os.environ["FX_SERVING_CA"])

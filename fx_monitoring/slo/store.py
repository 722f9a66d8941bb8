"""What the service levels remember between two looks: run records are deleted long before a window of weeks is over.

<home>/monitoring/slo-state.json    counts by hour, and how far the run records were read
<home>/monitoring/slo.json          how each service level stands: for people, alerts and the exporter
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from fx_monitoring.slo.budget import Level
from fx_monitoring.slo.runs import Missed
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores

FORMAT = 1


class State(msgspec.Struct):
    """after: the newest change of a run record that was read. seen: the runs read near it. counts: by service level and
    hour. missed: by service level. done: by row, the sessions that a good run has made. told: sessions counted as late.
    """

    after: datetime | None = None
    seen: set[str] = msgspec.field(default_factory=set)
    counts: dict[str, dict[str, tuple[int, int]]] = msgspec.field(default_factory=dict)
    missed: dict[str, list[Missed]] = msgspec.field(default_factory=dict)
    done: dict[str, list[str]] = msgspec.field(default_factory=dict)
    told: dict[str, list[str]] = msgspec.field(default_factory=dict)
    format: int = FORMAT


class Document(msgspec.Struct):
    """The content of slo.json."""

    at: datetime
    rows: list[Level]
    format: int = FORMAT


def state_path(stores: Stores) -> Path:
    """Where counts are kept."""
    return stores.home / "monitoring" / "slo-state.json"


def levels_path(stores: Stores) -> Path:
    """Where the service levels stand."""
    return stores.home / "monitoring" / "slo.json"


def read_state(stores: Stores) -> State:
    """What is remembered; from the beginning where nothing is, or what is there cannot be read."""
    try:
        found = msgspec.json.decode(state_path(stores).read_bytes(), type=State)
    except (FileNotFoundError, ValueError):
        return State()
    return found if found.format == FORMAT else State()


def read_levels(stores: Stores) -> Document | None:
    """How the service levels stood at the last look; None before the first one."""
    try:
        return msgspec.json.decode(levels_path(stores).read_bytes(), type=Document)
    except (FileNotFoundError, ValueError):
        return None


def write(stores: Stores, state: State, document: Document) -> None:
    """Keep both. The state first: a run that was counted twice would be worse than levels that are a minute old."""
    atomic_write(state_path(stores), msgspec.json.encode(state), durable=False)
    atomic_write(levels_path(stores), msgspec.json.encode(document), durable=False)

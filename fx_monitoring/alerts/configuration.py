"""alerts.yaml: who is told what, when, how often; and how much is too much."""

from __future__ import annotations

import os
from datetime import time
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from fx_assets.configuration.base import Strict
from fx_assets.configuration.load import config_file, parse_file, stamped
from fx_assets.stack import addresses
from fx_monitoring.alerts.model import SEVERITIES, Alert, Severity
from fx_serving.client.home import fx_home

SHIPPED = Path(__file__).parents[1] / "config"
ADDRESSES = "FX_ALERT_URLS"
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RouteName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class Quiet(Strict):
    """Hours in which info and warning wait; they come as one digest afterwards. days: on which the hours begin."""

    start: time
    end: time
    timezone: str
    days: tuple[Day, ...] = DAYS

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is not a time zone such as Asia/Singapore") from None
        return value

    @model_validator(mode="after")
    def _some_hours(self) -> Quiet:
        if self.start == self.end:
            raise ValueError(f"start and end are both {self.start:%H:%M}: leave quiet out for no quiet hours")
        return self


class Limit(Strict):
    """At most so many messages in so many minutes; what is more comes as one summary. Critical ones count apart."""

    messages: int = Field(default=10, ge=2)
    minutes: float = Field(default=10, gt=0)


class Repeat(Strict):
    """Minutes after which an open alert is told again; 0: never."""

    info: float = Field(default=0, ge=0)
    warning: float = Field(default=1440, ge=0)
    critical: float = Field(default=240, ge=0)


class Route(Strict):
    """One way to people. Its addresses are secrets and stand in the environment."""

    severities: tuple[Severity, ...] = SEVERITIES
    owners: tuple[str, ...] = ()
    resolved: bool = True
    repeat_minutes: Repeat = Repeat()
    quiet: Quiet | None = None
    limit: Limit = Limit()

    def takes(self, severity: str, owner: str) -> bool:
        """Whether an alert goes this way. No owners: those of all."""
        return severity in self.severities and (not self.owners or owner in self.owners)


class Rule(Strict):
    """What differs for alerts whose key fits, such as DataStale/silver/*. The first that fits counts."""

    match: str = Field(min_length=1)
    enabled: bool = True
    severity: Severity | None = None
    owner: str | None = None


class Delivery(Strict):
    """How a message that cannot be sent is tried again: ever later, up to a limit."""

    attempts: int = Field(default=12, ge=1, le=100)
    first_retry_seconds: float = Field(default=30, gt=0)
    longest_retry_minutes: float = Field(default=60, gt=0)
    timeout_seconds: float = Field(default=45, ge=5)
    failing_minutes: float = Field(default=10, gt=0)


class Heartbeat(Strict):
    """What must be young for the outside watchdog (FX_HEARTBEAT_URL) to be told that all is well."""

    monitoring_minutes: float = Field(default=45, gt=0)
    daemon_seconds: float = Field(default=300, gt=0)


class Disk(Strict):
    """Free space of the home's disk below which an alert is fired."""

    warning_gib: float = Field(default=5, ge=0)
    critical_gib: float = Field(default=2, ge=0)


class Links(Strict):
    """Where the links in messages lead; as the receivers reach it. What is not stated is where `fx up` listens."""

    dagster: str = "http://127.0.0.1:3000"
    runbooks: str = "http://127.0.0.1:8710/runbooks"


class AlertsFile(Strict):
    """alerts.yaml. Every key may be left out."""

    routes: dict[RouteName, Route] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    settle_seconds: float = Field(default=120, ge=0)
    expire_hours: float = Field(default=72, gt=0)
    keep_days: float = Field(default=30, gt=0)
    delivery: Delivery = Delivery()
    heartbeat: Heartbeat = Heartbeat()
    disk: Disk = Disk()
    links: Links = Links()

    def addresses(self, route: str) -> list[str]:
        """The route's apprise URLs: secrets, never log or store them.

        FX_ALERT_URLS is short for the first route's variable, and not for every route's: what goes two ways would
        reach the same people twice.
        """
        own = os.environ.get(variable(route), "").strip()
        if not own and route == next(iter(self.routes), None):
            own = os.environ.get(ADDRESSES, "")
        return own.split()

    def applied(self, alert: Alert) -> Alert | None:
        """The alert as the rules want it; None where one switches it off."""
        from msgspec.structs import replace

        rule = next((rule for rule in self.rules if fnmatchcase(alert.key, rule.match)), None)
        if rule is None:
            return alert
        if not rule.enabled:
            return None
        return replace(alert, severity=rule.severity or alert.severity, owner=rule.owner or alert.owner)


def variable(route: str) -> str:
    """The environment variable that holds the route's own addresses."""
    return f"{ADDRESSES}_{route.upper()}"


def load_alerts() -> AlertsFile:
    """The alerts.yaml in force. Raises ConfigError naming file, key, value and remedy."""
    path = config_file("alerts.yaml", SHIPPED)
    found = _load(path, stamped(path))
    return found.model_copy(update={"links": _completed(found.links)})


def _completed(links: Links) -> Links:
    """With the addresses of this home's newest `fx up` where the file states none."""
    known = addresses.read(fx_home())
    listening = {"dagster": known.get("Dagster UI")}
    if exporter := known.get("metrics"):
        listening["runbooks"] = f"{exporter}/runbooks"
    found = {name: url for name, url in listening.items() if url and name not in links.model_fields_set}
    return links.model_copy(update=found)


@cache
def _load(path: Path, _changed: object) -> AlertsFile:
    return parse_file(path, AlertsFile)

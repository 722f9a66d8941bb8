"""A desk on a clock that the test moves, and couriers whose messages are kept instead of sent."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fx_monitoring.alerts import Alert, Desk
from fx_monitoring.alerts.configuration import AlertsFile
from fx_monitoring.alerts.courier import Courier
from fx_monitoring.alerts.model import Message
from fx_serving.client.home import Stores

MONDAY = datetime(2026, 11, 16, 12, tzinfo=UTC)


class Clock:
    """Calling it tells the time; add(minutes=...) moves it."""

    def __init__(self, at: datetime = MONDAY) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def add(self, **span: float) -> None:
        self.at += timedelta(**span)


class Office:
    """A desk, its clock, and everything that reached a receiver: (address, message)."""

    def __init__(self, stores: Stores, clock: Clock, configuration: AlertsFile) -> None:
        self.stores, self.clock, self.configuration = stores, clock, configuration
        self.desk = Desk(stores, configuration, clock)
        self.came: list[tuple[str, Message]] = []
        self.broken: dict[str, str] = {}  # by address: why it cannot be reached

    def _send(self, address: str, message: Message) -> str | None:
        if reason := self.broken.get(address):
            return reason
        self.came.append((address, message))
        return None

    def deliver(self) -> list[str]:
        """One courier; the subjects of what it sent."""
        before = len(self.came)
        Courier(Desk(self.stores, self.configuration, self.clock), self._send).run()
        return [message.subject for _, message in self.came[before:]]


@pytest.fixture(autouse=True)
def no_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reaches, or is reached by, whoever the developer's shell tells of alerts."""
    for name in [name for name in os.environ if name.startswith(("FX_ALERT_URLS", "FX_HEARTBEAT_URL"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def office(tmp_path, monkeypatch) -> Callable[..., Office]:
    """office(**keys of alerts.yaml): routes default to one, desk, of one address."""

    def make(**keys: Any) -> Office:
        keys = {"routes": {"desk": {}}, **keys}
        for name in keys["routes"]:
            monkeypatch.setenv(f"FX_ALERT_URLS_{name.upper()}", f"json://{name}.example")
        return Office(Stores(tmp_path / "home"), Clock(), AlertsFile.model_validate(keys))

    return make


def alert(key: str = "DiskLow/home", severity: Any = "warning", **more: Any) -> Alert:
    """An alert of whatever."""
    words = {"owner": "platform", "title": f"{key} is wrong", "detail": "what exactly", "link": "http://look/here"}
    return Alert(**{"key": key, "severity": severity, "remedy": "mend it", **words, **more})

"""The dead man's switch: an outside service is told every minute that all is well, and raises the alarm when it is not.

Only what nothing inside can tell belongs here: that the daemon, the monitoring and the delivery of alerts themselves
work. Whatever stops one of them stops the heartbeat.
"""

from __future__ import annotations

import http.client
import os
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.figures import HEARTBEAT
from fx_monitoring.alerts.store import changing, remember
from fx_serving.client import clock
from fx_serving.client.home import Stores

if TYPE_CHECKING:
    from fx_assets.configuration import Configuration

TIMEOUT_S = 10.0
DELIVERY = "AlertDeliveryFailing"


def url() -> str:
    """The outside service's address; a secret, since whoever knows it can keep the service quiet."""
    return os.environ.get("FX_HEARTBEAT_URL", "").strip()


def unwell(desk: Desk, stores: Stores, configuration: Configuration, daemons: Mapping[str, float | None]) -> list[str]:
    """What is not well, in words; none while everything is. daemons: by type, when it was last heard of, if ever."""
    return [
        *_daemons(daemons, desk.clock(), desk.configuration.heartbeat.daemon_seconds),
        *_monitoring(stores, configuration, desk),
        *_delivery(desk),
    ]


def _daemons(daemons: Mapping[str, float | None], now: datetime, limit_s: float) -> Iterable[str]:
    for name, at in sorted(daemons.items()):
        if at is None:
            yield f"the daemon {name} was never heard of"
        elif now.timestamp() - at > limit_s:
            yield f"the daemon {name} was last heard of {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _monitoring(stores: Stores, configuration: Configuration, desk: Desk) -> Iterable[str]:
    """The health verdict is made anew by each run of `monitor` while a market is open."""
    from fx_assets.live.gating import closed_reason  # pandas: the courier, which imports this module, needs none

    limit = timedelta(minutes=desk.configuration.heartbeat.monitoring_minutes)
    moment = clock.now()
    if clock.stands_still() or closed_reason(configuration, moment) or closed_reason(configuration, moment - limit):
        return
    if not stores.health.is_file():
        yield f"{stores.health.name} was never written: does the job monitor run?"
    elif (age := desk.clock() - datetime.fromtimestamp(stores.health.stat().st_mtime, UTC)) > limit:
        yield f"{stores.health.name} is {age.total_seconds() / 60:.0f} min old: does the job monitor run?"


def _delivery(desk: Desk) -> Iterable[str]:
    try:
        with changing(desk.path) as db:
            remember(db, "heartbeat_tried_at", desk.clock().isoformat())
        for alert in desk.open():
            if alert.name == DELIVERY:
                yield alert.title
    except (sqlite3.Error, OSError) as error:
        yield f"alerts cannot be recorded: {error}"


def ping(desk: Desk) -> str | None:
    """Tell the outside service; why it could not be told, without its address, else None."""
    reason = None
    try:
        if not url().startswith(("http://", "https://")):
            raise ValueError("urllib would open files too")
        with urllib.request.urlopen(url(), timeout=TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        reason = f"answered HTTP {error.code}"
    except (OSError, ValueError, http.client.HTTPException):  # the last one's words hold the address
        reason = "no connection, no answer in time, or not an http address"
    with changing(desk.path) as db:
        if reason is None:
            remember(db, HEARTBEAT, desk.clock().isoformat())
        remember(db, "heartbeat_error", reason or "")
    return reason

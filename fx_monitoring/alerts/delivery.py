"""Sending one message to one address through apprise. An address is a secret: nothing here logs, returns or raises it.

apprise writes addresses and payloads into its own log. That log goes nowhere here; what it says about a failure is
reduced to an HTTP status, or to "no connection".
"""

from __future__ import annotations

import logging
import re
from typing import Any

from fx_monitoring.alerts.model import Message

# Longer than apprise gives a connection and a read: only a receiver that goes on and on is cut off by it.
TIMEOUT_S = 30.0
_STATUS = re.compile(r"error=(\d{3})")
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]{0,20})://", re.IGNORECASE)


def scheme(address: str) -> str:
    """What may be said of an address: the kind of service."""
    found = _SCHEME.match(address)
    return found[1].lower() if found else "not an address"


def send(address: str, message: Message) -> str | None:
    """Why it could not be sent, in words that may be stored; None when it was."""
    import apprise

    _silence()
    kind = scheme(address)
    # Secure logging and no plugins from the user's folders: what runs here is what was reviewed.
    asset = apprise.AppriseAsset(async_mode=False, secure_logging=True, app_id="fx-platform", plugin_paths=[])
    try:
        service = apprise.Apprise.instantiate(address, asset=asset)
        if service is None:
            return f"{kind}: apprise does not understand the address. Compare it with https://github.com/caronc/apprise"
        _as_incident(service, message)
        sender = apprise.Apprise(asset=asset)
        sender.add(service)
        told = sender.notify(
            title=message.subject,
            body=message.body,
            notify_type=_notify_type(message),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=TIMEOUT_S,
        )
    except Exception as error:  # a plugin's defect must not keep the other addresses from being told
        return f"{kind}: {type(error).__name__} in apprise"
    return None if told else f"{kind}: {_reason([entry.message for entry in told.logs()])}"


def _notify_type(message: Message) -> Any:
    from apprise import NotifyType

    if message.resolved:
        return NotifyType.SUCCESS
    by_severity = {"info": NotifyType.INFO, "warning": NotifyType.WARNING, "critical": NotifyType.FAILURE}
    return by_severity[message.severity]


def _as_incident(service: Any, message: Message) -> None:
    """PagerDuty groups by a key and closes by it: one incident for each trouble, closed when it is resolved."""
    if getattr(service, "secure_protocol", None) != "pagerduty":
        return
    service.action = "map"
    service.dedup = service.dedup or message.key
    service.click = service.click or message.link


def _reason(words: list[str]) -> str:
    """What apprise's messages come down to; the messages themselves name hosts."""
    for text in words:
        if found := _STATUS.search(text):
            return f"answered HTTP {found[1]}"
    if any("onnection error" in text for text in words):
        return "no connection, or no answer in time"
    return "not accepted" if words else f"no answer within {TIMEOUT_S:g} s"


def _silence() -> None:
    """The logs of apprise and of what it stands on hold addresses: they go nowhere."""
    for name in ("apprise", "urllib3", "requests"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = [logging.NullHandler()]
        logger.setLevel(logging.WARNING)

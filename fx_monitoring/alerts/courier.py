"""The process that sends: what is due when it starts, then it ends. `python -m fx_monitoring.alerts.courier`

Started by the sensor `alert_delivery`, which does not wait for it. It ends by itself after `delivery.timeout_seconds`,
however a receiver behaves: each route has a thread, and what a thread still waits for then counts as failed.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from fx_monitoring.alerts import delivery, heartbeat
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.messages import compose
from fx_monitoring.alerts.model import Message, Notice
from fx_monitoring.alerts.outbox import Outbox

logger = logging.getLogger(__name__)
Send = Callable[[str, Message], str | None]


class Courier:
    """One pass over the routes that have an address."""

    def __init__(self, desk: Desk, send: Send = delivery.send) -> None:
        self.outbox = Outbox(desk)
        self.timeout_s = desk.configuration.delivery.timeout_seconds
        keys = desk.configuration
        self.routes = {name: found for name in keys.routes if (found := keys.addresses(name))}
        self.sent = 0
        self._send = send
        # By route: what is on its way, and which addresses have it already.
        self._at_work: dict[str, tuple[list[Notice], list[int]]] = {}
        self._until = 0.0

    def run(self) -> None:
        """Send what is due, or give up when the time is over."""
        self.outbox.drop(list(self.routes))
        self.outbox.remind()
        threads = [threading.Thread(target=self._serve, args=(name,), daemon=True) for name in self.routes]
        self._until = time.monotonic() + self.timeout_s
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, self._until - time.monotonic()))
        for name, (notices, delivered) in list(self._at_work.items()):
            self._report(notices, delivered, len(self.routes[name]), f"no answer within {self.timeout_s:g} s")
        self.outbox.tidy()

    def _serve(self, route: str) -> None:
        urls, longest = self.routes[route], 0.0
        # A message for which the time that is left may be too short would be cut off on its way, and sent again.
        while time.monotonic() + longest < self._until and (notices := self.outbox.take(route)):
            began = time.monotonic()
            message, reasons, delivered = compose(notices), [], []
            self._at_work[route] = notices, delivered
            for number, url in enumerate(urls):
                if number in notices[0].done:
                    continue
                if reason := self._send(url, message):
                    reasons.append(f"address {number + 1} of {len(urls)}: {reason}")
                else:
                    delivered.append(number)
            del self._at_work[route]
            self._report(notices, delivered, len(urls), "; ".join(reasons) or None)
            longest = max(longest, time.monotonic() - began)
            if not delivered:
                return  # the others of this route wait: one that fails is enough

    def _report(self, notices: list[Notice], delivered: list[int], asked: int, error: str | None) -> None:
        self.outbox.mark(notices, delivered, asked, error)
        self.sent += bool(delivered)
        if error:
            keys = ", ".join(dict.fromkeys(notice.key for notice in notices[:5]))
            logger.error("route %s: %s not delivered: %s", notices[0].route, keys, error)


def main(arguments: list[str]) -> None:
    """--heartbeat: tell the outside watchdog first that all is well."""
    from fx_serving.client import logs
    from fx_serving.client.home import Stores

    logs.setup("alerts", "WARNING")
    desk = Desk(Stores.default())
    if "--heartbeat" in arguments:
        # No part of an answer takes too long, and yet the whole may: the next heartbeat must not wait for this one.
        ping = threading.Thread(target=heartbeat.ping, args=(desk,), daemon=True)
        ping.start()
        ping.join(desk.configuration.delivery.timeout_seconds)
    if "--only-heartbeat" not in arguments:
        Courier(desk).run()
    sys.stderr.flush()
    os._exit(0)  # a thread that a receiver holds up must not hold up the end


if __name__ == "__main__":
    main(sys.argv[1:])

"""The platform's own alerts: how many are open, and whether its notices get out."""

from __future__ import annotations

from collections.abc import Iterator

from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, unix
from fx_serving.client.home import Stores

SEVERITIES = ("critical", "warning", "info")


def build(stores: Stores) -> Collector:
    """Nothing before the desk's database is made."""

    def collect() -> Iterator[Sample]:
        from fx_monitoring.alerts import figures

        found = figures(stores)
        if found is None:
            return
        for severity in SEVERITIES:
            yield Sample("fx_alerts_open", (severity,), float(found.open.get(severity, 0)))
        oldest = found.oldest_waiting_s, found.oldest_untried_s
        for route in sorted({*found.waiting, *found.failed, *found.last_sent_at}):
            yield Sample("fx_alert_sends_waiting", (route,), float(found.waiting.get(route, 0)))
            yield Sample("fx_alert_sends_failed_day", (route,), float(found.failed.get(route, 0)))
            yield Sample("fx_alert_send_oldest_seconds", (route,), max(of.get(route, 0.0) for of in oldest))
        yield from figure("fx_heartbeat_timestamp_seconds", unix(found.heartbeat_at))

    return Collector("alerts", collect)

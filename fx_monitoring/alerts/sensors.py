"""The sensors that keep the desk true, start the courier, and send the heartbeat.

None of them sends anything itself or waits for a network: a tick takes milliseconds. What each says is in the desk, so
that a daemon that was killed goes on where it was: an open trouble is not told again because somebody restarted.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import dagster as dg

from fx_assets.automation.table import sensor_options
from fx_assets.configuration import Configuration
from fx_monitoring.alerts import dagster_watch, heartbeat, watch
from fx_monitoring.alerts.configuration import ADDRESSES
from fx_monitoring.alerts.desk import Desk
from fx_monitoring.alerts.outbox import Outbox
from fx_monitoring.redact import without_credentials
from fx_serving.client import logs
from fx_serving.client.home import Stores
from fx_serving.client.log_capture import Capture

COURIER = [sys.executable, "-m", "fx_monitoring.alerts.courier"]


def build(configuration: Configuration, stores: Stores) -> list[dg.SensorDefinition]:
    """alert_failed_runs, alert_watch, alert_delivery, heartbeat; each a row of automation.yaml."""
    return [
        _failed_runs(configuration, stores),
        _watch(configuration, stores),
        _delivery(configuration, stores),
        _heartbeat(configuration, stores),
    ]


def _failed_runs(configuration: Configuration, stores: Stores) -> dg.SensorDefinition:
    options = sensor_options(configuration, "alert_failed_runs")

    @dg.run_failure_sensor(
        monitor_all_code_locations=True,
        description="Opens an alert for a run that failed for good, of either code location; once for each job.",
        **options,
    )
    def alert_failed_runs(context: dg.RunFailureSensorContext):
        desk = Desk(stores)
        failed = context.get_step_failure_events()
        steps = [(event.step_key or "", _first_words(event.event_specific_data)) for event in failed]
        message = context.failure_event.message or "the run's process ended"
        alert = dagster_watch.failed_run(desk, configuration, context.instance, context.dagster_run, steps, message)
        if alert is not None:
            desk.fire(alert)

    return alert_failed_runs


def _first_words(data: Any) -> str:
    """The cause of a step's failure, in one line: the innermost exception's."""
    error = getattr(data, "error", None)
    while error is not None and getattr(error, "cause", None) is not None:
        error = error.cause
    return "" if error is None else " ".join(str(error.message).split())


def _watch(configuration: Configuration, stores: Stores) -> dg.SensorDefinition:
    @dg.sensor(
        description="Opens and resolves alerts: checks, drift, quality, health, service levels, disk, repairs.",
        **sensor_options(configuration, "alert_watch"),
    )
    def alert_watch(context: dg.SensorEvaluationContext):
        desk = Desk(stores)
        parts: dict[str, Callable[[], object]] = {
            "checks": lambda: dagster_watch.read_checks(desk, context.instance),
            "runs": lambda: dagster_watch.settle_runs(desk, context.instance),
            "repairs": lambda: watch.repairs(desk, stores),
        }
        unread = []
        for name, part in parts.items():
            try:
                part()
            except Exception as error:  # one record that cannot be read must not blind all that is looked at after it
                unread.append(f"{name}: {type(error).__name__}: {without_credentials(str(error))[:200]}")
        unread += watch.look(desk, stores)
        found = desk.open()
        told = f"{len(found)} open: " + ", ".join(alert.key for alert in found[:10]) if found else "nothing is open"
        return dg.SkipReason("; ".join([told, *(f"cannot look at {words}" for words in unread)]))

    return alert_watch


def _delivery(configuration: Configuration, stores: Stores) -> dg.SensorDefinition:
    couriers = Couriers(stores)

    @dg.sensor(
        description="Starts the process that sends, when a message is due and its route may have one.",
        **sensor_options(configuration, "alert_delivery"),
    )
    def alert_delivery(context: dg.SensorEvaluationContext):
        desk = Desk(stores)
        routes = [name for name in desk.configuration.routes if desk.configuration.addresses(name)]
        if not routes:
            return dg.SkipReason(f"no route has an address ({ADDRESSES}_<ROUTE>); fx alerts list shows what is open")
        outbox = Outbox(desk)
        outbox.remind()
        if not (ready := outbox.ready(routes)):
            return dg.SkipReason("nothing is due")
        return dg.SkipReason(f"{couriers.start('delivery')} for {', '.join(ready)}")

    return alert_delivery


def _heartbeat(configuration: Configuration, stores: Stores) -> dg.SensorDefinition:
    couriers = Couriers(stores)

    @dg.sensor(
        description="Tells FX_HEARTBEAT_URL that daemon, monitoring and delivery are well; silent when one is not.",
        **sensor_options(configuration, "heartbeat"),
    )
    def heartbeat_tick(context: dg.SensorEvaluationContext):
        if not heartbeat.url():
            return dg.SkipReason("FX_HEARTBEAT_URL is not set: nobody outside would notice if this machine died")
        beats = context.instance.get_daemon_heartbeats()
        daemons = {
            kind: beats[kind].timestamp if kind in beats else None
            for kind in context.instance.get_required_daemon_types()
        }
        if problems := heartbeat.unwell(Desk(stores), stores, configuration, daemons):
            return dg.SkipReason("no heartbeat is sent: " + "; ".join(problems))
        return dg.SkipReason(couriers.start("heartbeat", "--heartbeat", "--only-heartbeat"))

    return heartbeat_tick


class Couriers:
    """Starts couriers, one at a time; it takes note of the end of the one before, so that none is left as a zombie."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._running: subprocess.Popen[bytes] | None = None
        self._capture: Capture | None = None

    def start(self, name: str, *options: str) -> str:
        """What was done, in words."""
        if self._running is not None and self._running.poll() is None:
            return f"the {name} process of before is still at work"
        if self._capture is not None:
            self._capture.finish()
        self._capture = Capture(self._stores.logs / "alerts.log")
        self._running = subprocess.Popen(
            [*COURIER, *options],
            env={**os.environ, "FX_HOME": str(self._stores.home), logs.FORMAT: "json"},
            stdin=subprocess.DEVNULL,
            stdout=self._capture.output,
            stderr=self._capture.output,
        )
        self._capture.begin()
        return f"{name} process {self._running.pid} started"

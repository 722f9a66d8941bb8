"""The monitoring commands of `fx`. Each module holds one; what they do is imported when they are called, so that
`fx --help` answers at once.
"""

import typer

from fx_monitoring.cli import alerts, exporter, health, reports, signals, slo


def register(app: typer.Typer) -> None:
    """Add the monitoring commands to the `fx` application (entry point of the group fx.commands)."""
    app.command("exporter")(exporter.exporter)
    app.command("health")(health.health)
    app.command("signals")(signals.signals)
    app.command("slo")(slo.slo)
    app.command("reports")(reports.reports)
    app.add_typer(alerts.app, name="alerts")

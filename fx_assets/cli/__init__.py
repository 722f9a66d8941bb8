"""The platform's commands of `fx`. Each module holds one; what they do is imported when they are called, so that
`fx --help` answers at once.
"""

import typer

from fx_assets.cli import (
    archive,
    automation,
    backfill,
    backup,
    calendar,
    changes,
    compare,
    cost,
    data,
    demo,
    doctor,
    features,
    models,
    practice,
    quality,
    repair,
    rollback,
    sentiment,
    status,
    trace,
    up,
)


def register(app: typer.Typer) -> None:
    """Add the platform's commands to the `fx` application (entry point of the group fx.commands)."""
    for name, command in {
        "demo": demo.demo,
        "up": up.up,
        "practice": practice.practice,
        "backfill": backfill.backfill,
        "status": status.status,
        "calendar": calendar.calendar,
        "quality": quality.quality,
        "doctor": doctor.doctor,
        "import": data.import_,
        "changes": changes.changes,
        "compare": compare.compare,
        "rollback-data": rollback.rollback_data,
        "features": features.features,
        "trace": trace.trace,
        "cost": cost.cost,
        "restore": backup.restore,
    }.items():
        app.command(name)(command)
    app.add_typer(archive.app, name="archive")
    app.add_typer(backup.app, name="backup")
    app.add_typer(repair.app, name="repair")
    app.add_typer(automation.app, name="automation")
    app.add_typer(models.app, name="models")
    app.add_typer(sentiment.app, name="sentiment")

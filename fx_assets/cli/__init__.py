"""The platform's commands of `fx`. Each module holds one; what they do is imported when they are called, so that
`fx --help` answers at once.
"""

import typer

from fx_assets.cli import backfill, data, demo, doctor, features, status, up


def register(app: typer.Typer) -> None:
    """Add the platform's commands to the `fx` application (entry point of the group fx.commands)."""
    for name, command in {
        "demo": demo.demo,
        "up": up.up,
        "backfill": backfill.backfill,
        "status": status.status,
        "doctor": doctor.doctor,
        "import": data.import_,
        "features": features.features,
    }.items():
        app.command(name)(command)

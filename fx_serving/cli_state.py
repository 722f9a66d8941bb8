"""`fx state`: which revision the database of the service has, and how it gets to another. Only typer is imported at
module level.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from fx_serving.cli_common import Json, fail, show

state_app = typer.Typer(
    help="The database of the service (rollouts, audit trail, tokens): its revision, and the way to another.\n\n"
    "A release of the platform knows the revisions up to its own. The service carries out what is missing when it "
    "starts, so none of these commands is needed for an ordinary upgrade.\n\n"
    "Before an upgrade:  fx state status  says what will be done, and  fx state upgrade  does it ahead of time.\n\n"
    "Back to an earlier release: stop the service,  fx state downgrade REVISION  with the newer release, then install "
    "the earlier one (docs/state.md).",
    no_args_is_help=True,
)

Home = Annotated[Path | None, typer.Option(help="Data folder. Default: FX_HOME, else .fx in the checkout.")]


def _with(home: Path | None, as_json: bool, render: str, call: Callable[[Any], Any]) -> None:
    """Show call(where). A failure becomes one line and exit code 1."""
    import msgspec

    from fx_serving.client.home import Stores, fx_home
    from fx_serving.state.base import StateError

    stores = Stores((home or fx_home()).resolve())
    if isinstance(stores.state, Path) and not stores.state.exists():
        fail(
            f"fx state: {stores.state}: not there. The service makes it at its first start; "
            "if another data folder was meant, name it: --home."
        )
    try:
        found = call(stores.state)
    except StateError as error:
        fail(f"fx state: {error}")
    show(msgspec.to_builtins(found), as_json, render)


@state_app.command("status")
def status(home: Home = None, as_json: Json = False) -> None:
    """The revision of the database, the newest one that this release knows, and what lies between. Changes nothing."""
    from fx_serving.state import migrate

    _with(home, as_json, "state_status", migrate.status)


@state_app.command("upgrade")
def upgrade(home: Home = None, as_json: Json = False) -> None:
    """To the newest revision, as a start of the service would do: all of it or nothing, and no row is lost.

    A SQLite file is copied first, to state-REVISION.db beside it. Needs Alembic, which is part of the platform;
    on a host of the service alone: pip install 'fx-platform\\[migrations]'.
    """
    from fx_serving.state import migrate

    _with(home, as_json, "state_moved", migrate.upgrade)


@state_app.command("downgrade")
def downgrade(
    revision: Annotated[str, typer.Argument(help="An older revision, such as 0002: that of the earlier release.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Back to an older revision, for an earlier release of the platform: all of it or nothing.

    Stop the service first. Refused where the older revision has no place for what was written since: then restore the
    backup from before the upgrade. A SQLite file is copied to state-REVISION.db beside it; with PostgreSQL, run
    fx backup  first.
    """
    from fx_serving.state import migrate

    _with(home, as_json, "state_moved", lambda where: migrate.downgrade(where, revision))

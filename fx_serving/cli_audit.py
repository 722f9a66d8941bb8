"""`fx audit`: read the audit trail, and check that nobody changed it. Only typer is imported at module level."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fx_serving.cli_common import Json, Url, ask, fail, show

audit_app = typer.Typer(
    help="The audit trail: who did what, why, and whether the record is whole.", no_args_is_help=True
)


@audit_app.command("verify")
def verify(
    home: Annotated[Path | None, typer.Option(help="Data folder. Default: FX_HOME, else .fx in the checkout.")] = None,
    url: Annotated[str | None, typer.Option(help="Let the service at this address check its own trail.")] = None,
    as_json: Json = False,
) -> None:
    """Check every record against the one before; exit code 1 and the first wrong record if one was changed.

    Reads the home's own records, so no service need run.
    """
    found = ask(url, lambda c: c.verify_audit()) if url else _own(home)
    show(found, as_json, "audit_check")
    if not found["whole"]:
        raise typer.Exit(1)


@audit_app.command("show")
def records(
    model: Annotated[str | None, typer.Option(help="Only what concerns this model.")] = None,
    limit: Annotated[int, typer.Option(help="How many, the newest.", min=1, max=1000)] = 20,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """The newest records, oldest first: what happened, who did it, why."""
    found = ask(url, lambda c: c.audit(limit=limit, model=model, newest_first=True))
    show(found[::-1], as_json, "audit")


def _own(home: Path | None) -> dict[str, Any]:
    from fx_serving.client.audit_chain import read_head
    from fx_serving.client.home import Stores, fx_home
    from fx_serving.client.rollout_log import RolloutLogError, verify_audit

    stores = Stores((home or fx_home()).resolve())
    # The head first: a record that is added meanwhile is one more than it tells of, never one less.
    head = read_head(stores.audit_head)
    if head is None and isinstance(stores.state, Path) and not stores.state.exists():
        fail(f"fx audit: {stores.state}: no trail is here, nor the head of one. Name the service's home: --home.")
    try:
        verdict = verify_audit(stores.state, head)
    except RolloutLogError as error:
        fail(f"fx audit: {error}")
    return {name: getattr(verdict, name) for name in verdict.__struct_fields__}

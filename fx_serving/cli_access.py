"""`fx token`: make, list and revoke access tokens. Works beside a running service, and without one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from fx_serving.cli_common import Json, fail, show

token_app = typer.Typer(help="Access tokens: who may predict, observe or operate.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="Data folder. Default: FX_HOME, else .fx in the checkout.")]


def _with_state(home: Path | None, change: Any, new: bool = False) -> Any:
    """change(state), then the workers' file written anew. A failure becomes one line and exit code 1.

    new: whether the state may be made where there is none yet.
    """
    from fx_serving.access import tokens
    from fx_serving.client.home import Stores, fx_home
    from fx_serving.state.base import StateError
    from fx_serving.state.open import open_state

    stores = Stores(home or fx_home())
    if not new and isinstance(stores.state, Path) and not stores.state.exists():
        fail(
            f"fx token: {stores.state}: not there, so no token was made here. Name the service's home: --home. "
            "To make a token: fx token create NAME --role ROLE"
        )
    try:
        state = open_state(stores)
        try:
            result = change(state)
            tokens.publish(stores.tokens, state.tokens())
        finally:
            state.close()
    except (tokens.TokenError, StateError, OSError) as error:
        fail(f"fx token: {error}")
    return result


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who will use it; stands in the audit trail.")],
    role: Annotated[str, typer.Option(help="predict, observe or operate.")],
    rate: Annotated[float | None, typer.Option(help="Requests a second. Default: access.rate_per_s.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a token and show it, this once: only its hash is kept.  Example: fx token create desk --role predict"""
    from fx_serving.access import tokens

    def make(state: Any) -> tuple[Any, str, list[Any]]:
        before = state.tokens()
        return *tokens.create(state, name, role, rate), before

    row, token, before = _with_state(home, make, new=True)
    if as_json:
        import json

        typer.echo(json.dumps({"id": row.id, "name": row.name, "role": row.role, "token": token}))
    else:
        typer.echo(token)
        typer.secho(
            f"Token {row.name} ({row.role}), id {row.id}. It is not shown again. "
            "Send it as 'Authorization: Bearer <token>', or set FX_SERVING_TOKEN where fx runs.",
            err=True,
        )
    if not before:
        typer.secho("It is the first one: from now on every request needs a token.", fg="yellow", err=True)
    if not any(one.role == "operate" and one.revoked_at is None for one in (*before, row)):
        where = f" --home {shlex.quote(str(home))}" if home else ""
        typer.secho(
            f"No token may operate (start and steer rollouts) yet: fx token create operator --role operate{where}",
            fg="yellow",
            err=True,
        )


@token_app.command("list")
def list_tokens(home: Home = None, as_json: Json = False) -> None:
    """All tokens: names, roles, and since when; never the tokens themselves."""
    rows = _with_state(home, lambda state: state.tokens())
    show([_plain(row) for row in rows], as_json, "tokens")


@token_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Its name or its id.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """End a token; workers refuse it within two seconds."""
    from fx_serving.access import tokens

    row = _with_state(home, lambda state: tokens.revoke(state, name))
    if as_json:
        import json

        typer.echo(json.dumps(_plain(row)))
        return
    typer.echo(f"Token {row.name} ({row.role}), id {row.id}, is revoked.")


def _plain(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "role": row.role,
        "rate_per_s": row.rate_per_s,
        "created_at": row.created_at.isoformat(),
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    }

"""`fx token`: make, list and revoke access tokens. Works beside a running service, and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

token_app = typer.Typer(help="Access tokens: who may predict, observe or operate.", no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="Data folder. Default: FX_HOME, else .fx in the checkout.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _with_state(home: Path | None, change: Any) -> Any:
    """change(state), then the workers' file written anew. A failure becomes one line and exit code 1."""
    from fx_serving.access import tokens
    from fx_serving.client.home import Stores, fx_home
    from fx_serving.state.base import StateError
    from fx_serving.state.open import open_state

    stores = Stores(home or fx_home())
    try:
        state = open_state(stores)
        try:
            result = change(state)
            tokens.publish(stores.tokens, state.tokens())
        finally:
            state.close()
    except (tokens.TokenError, StateError, OSError) as error:
        typer.secho(f"fx token: {error}", fg="red", err=True)
        raise typer.Exit(1) from None
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

    row, token = _with_state(home, lambda state: tokens.create(state, name, role, rate))
    if as_json:
        import json

        typer.echo(json.dumps({"id": row.id, "name": row.name, "role": row.role, "token": token}))
        return
    typer.echo(token)
    typer.secho(
        f"Token {row.name} ({row.role}), id {row.id}. It is not shown again. "
        "Send it as 'Authorization: Bearer <token>', or set FX_SERVING_TOKEN where fx runs.",
        err=True,
    )


@token_app.command("list")
def show(home: Home = None, as_json: Json = False) -> None:
    """All tokens: names, roles, and since when; never the tokens themselves."""
    rows = _with_state(home, lambda state: state.tokens())
    if as_json:
        import json

        typer.echo(json.dumps([_plain(row) for row in rows], indent=2))
        return
    if not rows:
        typer.echo(
            "No token was ever made: on loopback everybody may operate. Make one: fx token create NAME --role ROLE"
        )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "role", "rate/s", "created", "revoked")
    for row in map(_plain, rows):
        table.add_row(*("-" if value is None else str(value)[:19] for value in row.values()))
    Console().print(table)


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

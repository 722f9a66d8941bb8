"""What the groups of `fx` commands share: options, finding the service, asking it, showing answers, failing.

Only typer is imported at module level: `fx --help` must answer at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

Url = Annotated[str | None, typer.Option(help="Service address. Default: FX_SERVING_URL, else the running service.")]
Json = Annotated[bool, typer.Option("--json", help="Print the raw JSON answer.")]


def fail(message: str) -> NoReturn:
    """Say what went wrong on stderr and end with code 1."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(1)


def service_url(url: str | None) -> str:
    """--url, else FX_SERVING_URL, else the address file of a running service, else the default port."""
    if url or (url := os.environ.get("FX_SERVING_URL", "").strip()):
        return url
    import json

    from fx_serving.client.home import Stores

    try:
        address = json.loads(Stores.default().address.read_bytes())
        os.kill(int(address["pid"]), 0)
        return str(address["url"])
    except (OSError, ValueError, KeyError):
        return "http://127.0.0.1:8700"


def ask(url: str | None, call: Callable[[Any], Any]) -> Any:
    """The result of call(client); a service error becomes one line on stderr and exit code 1."""
    from fx_serving.client.http import ServiceError, ServingClient

    try:
        with ServingClient(service_url(url)) as client:
            return call(client)
    except ServiceError as error:
        fail(str(error))


def show(answer: Any, as_json: bool, render: str) -> None:
    """The answer as JSON, or by the function of cli_output named `render`."""
    if as_json:
        import json

        typer.echo(json.dumps(answer, indent=2))
    else:
        from fx_serving import cli_output

        getattr(cli_output, render)(answer)


def parse_pairs(pairs: list[str], option: str) -> dict[str, Any]:
    """name=value words; each value is a number (or JSON). Ends the command where one is malformed."""
    import json

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r}: write name=value", param_hint=option)
        try:
            found[name] = json.loads(value)
        except ValueError:
            raise typer.BadParameter(f"{name}: {value!r} is not a number", param_hint=option) from None
    return found

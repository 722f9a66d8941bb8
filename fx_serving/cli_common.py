"""What the groups of `fx` commands share: options, finding the service, asking it, showing answers, failing.

Only typer is imported at module level: `fx --help` must answer at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

Url = Annotated[str | None, typer.Option(help="Service address. Default: FX_SERVING_URL, else the running service.")]
_CONSTANTS = ("NaN", "Infinity")  # what JSON calls no number, and Python's reader takes for one
Json = Annotated[bool, typer.Option("--json", help="Print the raw JSON answer.")]
_STALE = re.compile(r"(?<=\bstale: )(.*?)(\d+) s old")
_DAY = 86_400


def fail(message: str) -> NoReturn:
    """Say what went wrong on stderr and end with code 1."""
    typer.secho(message, fg="red", err=True)
    raise typer.Exit(1)


def age_in_words(seconds: float) -> str:
    """Seconds as people say them: 40 s, 12 min, 5 h, 45 days, 4.7 years."""
    for limit, unit, word in ((600, 1, "s"), (7200, 60, "min"), (2 * _DAY, 3600, "h"), (730 * _DAY, _DAY, "days")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 365.25 / _DAY:.1f} years"


def in_words(problem: str) -> str:
    """What the service says of stale features, with the age in words, and what helps where it is absurd."""
    found = _STALE.search(problem)
    if not found:
        return problem
    age = int(found[2])
    said = _STALE.sub(lambda match: f"{match[1]}{age_in_words(age)} old", problem, count=1)
    hint = " If these are historical data, set FX_CLOCK (docs/configuration.md)." if age > 30 * _DAY else ""
    return said + hint


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
        fail(in_words(str(error)))


def show(answer: Any, as_json: bool, render: str) -> None:
    """The answer as JSON, or by the function of cli_output named `render`."""
    if as_json:
        import json

        typer.echo(json.dumps(answer, indent=2))
    else:
        from fx_serving import cli_output

        getattr(cli_output, render)(answer)


def parse_pairs(pairs: list[str], option: str, words: bool = False) -> dict[str, Any]:
    """name=value words; each value is a number (or JSON), or a plain word where those are allowed. Ends the command
    where one is malformed.
    """
    import json

    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{pair!r}: write name=value", param_hint=option)
        try:
            found[name] = json.loads(value, parse_constant=_no_number)
        except ValueError:
            if not (words and value.isidentifier()) or value in _CONSTANTS:
                raise typer.BadParameter(f"{name}: {value!r} is not a number", param_hint=option) from None
            found[name] = value
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)

"""The `fx` command: serving commands, and those that other installed packages add (entry-point group
fx.commands).

Only typer is imported here at module level: `fx --help` must answer at once.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

_NO_PLATFORM = (
    "The commands of the data platform (bring data in, build features, train, monitor) are not installed: "
    "pip install 'fx-platform\\[platform]'"
)
app = typer.Typer(
    name="fx",
    help="FX predictions: serve models, ask for predictions, roll out new versions.\n\n"
    "A first look:  fx serve  in one terminal, then  fx predict GBP_USD  in another.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
rollout_app = typer.Typer(
    help="Roll out a new model version: canary steps with gates, back by itself when it misbehaves.",
    no_args_is_help=True,
)
app.add_typer(rollout_app, name="rollout")

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


def _ask(url: str | None, call: Any) -> Any:
    """The result of call(client); a service error becomes one line on stderr and exit code 1."""
    from fx_serving.client.http import ServiceError, ServingClient

    try:
        with ServingClient(service_url(url)) as client:
            return call(client)
    except ServiceError as error:
        fail(str(error))


def _show(answer: Any, as_json: bool, render: str) -> None:
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


@app.command()
def serve(
    home: Annotated[Path | None, typer.Option(help="Data folder. Default: FX_HOME, else .fx in the checkout.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 0 takes a free one. Default: 8700.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer predictions. Default: 2.")] = None,
) -> None:
    """Serve predictions over REST until Ctrl-C. Documentation of the interface: /docs."""
    from fx_serving.client.blob_store import BlobStoreError, open_blobs
    from fx_serving.client.clock import ClockError, now
    from fx_serving.client.home import Stores, fx_home
    from fx_serving.config import ConfigError, ServingConfig, load_config
    from fx_serving.ports import StartError
    from fx_serving.processes import setup_logging
    from fx_serving.supervisor import Supervisor

    setup_logging("supervisor")
    stores = Stores((home or fx_home()).resolve())
    given = {k: v for k, v in {"host": host, "port": port, "workers": workers}.items() if v is not None}
    try:
        now()
        config = ServingConfig.model_validate(load_config(stores.home).model_dump() | given)
        open_blobs(stores, config.feature_blobs).close()  # its settings are wrong for every worker, or for none
        Supervisor(stores, config).run()
    except (StartError, ConfigError, ClockError, BlobStoreError) as error:
        fail(str(error))
    except ValueError as error:
        fail(f"fx serve: {error}")


@app.command()
def predict(
    instrument: Annotated[str, typer.Argument(help="Such as GBP_USD.")],
    timestamp: Annotated[
        str | None, typer.Option(help="Score as of then: ISO 8601 with offset, 2022-03-04T21:30:00Z.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Default: the service's default model.")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="name=value: replaces a value of the feature store. Repeatable.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Equal keys stay in one slot during a rollout.")] = None,
    slot: Annotated[str | None, typer.Option(help="Force blue (deployed) or green (candidate).")] = None,
    show_features: Annotated[bool, typer.Option("--show-features", help="List every value that was scored.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Ask for one prediction.  Example: fx predict GBP_USD --feature rsi_14=71"""
    if slot not in (None, "blue", "green"):
        raise typer.BadParameter(f"{slot!r}: must be blue or green", param_hint="--slot")
    features = parse_pairs(feature or [], "--feature")
    answer = _ask(url, lambda c: c.predict(instrument, timestamp, model, features, key, slot))
    _show(answer, as_json, "prediction")
    if show_features and not as_json:
        _show(answer["features_used"], as_json, "features")


@app.command()
def feedback(
    prediction_id: Annotated[str, typer.Argument(help="As given by the prediction.")],
    direction: Annotated[int | None, typer.Option(help="What really happened: -1, 0 or 1.", min=-1, max=1)] = None,
    value: Annotated[float | None, typer.Option(help="The realized value, in the label's unit.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Report what really happened after a prediction."""
    answer = _ask(url, lambda c: c.feedback(prediction_id, realized_direction=direction, realized_value=value))
    _show(answer, as_json, "feedback")


@app.command()
def traffic(url: Url = None, as_json: Json = False) -> None:
    """Which version gets which share of the traffic, and how it does."""
    _show(_ask(url, lambda c: c.traffic()), as_json, "traffic")


@rollout_app.command("start")
def rollout_start(
    model: Annotated[str, typer.Argument(help="Such as move_60m.")],
    version: Annotated[str, typer.Argument(help="An exported version.")],
    policy: Annotated[
        list[str] | None,
        typer.Option(help="name=value, such as window_s=30 or steps=[10,50,100]. Repeatable."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end; exit code 1 unless it succeeds.")] = False,
    timeout: Annotated[float, typer.Option(help="How long --wait waits, in seconds.")] = 3600,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Roll out a version step by step; it goes back by itself when errors or slowness exceed the policy."""
    overrides = parse_pairs(policy or [], "--policy")
    started = _ask(url, lambda c: c.start_rollout(model, version, overrides))
    if not wait:
        return _show(started, as_json, "rollout")

    def tell(now: dict[str, Any]) -> None:
        if not as_json:
            typer.echo(f"{now['state']}  {now['weight']:g} %  {now['events'][-1]['why']}")

    done = _ask(url, lambda c: c.wait_rollout(started["id"], timeout, tell))
    _show(done, as_json, "rollout")
    if done["state"] != "succeeded":
        raise typer.Exit(1)


@rollout_app.command("status")
def rollout_status(
    rollout_id: Annotated[str | None, typer.Argument(help="Default: all of them.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """One rollout with its steps and events, or the list of all."""
    if rollout_id:
        _show(_ask(url, lambda c: c.rollout(rollout_id)), as_json, "rollout")
    else:
        _show(_ask(url, lambda c: c.rollouts()), as_json, "rollouts")


@rollout_app.command("abort")
def rollout_abort(
    rollout_id: Annotated[str, typer.Argument(help="As given by start or status.")],
    reason: Annotated[str | None, typer.Option(help="For the audit trail.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Stop a rollout: all traffic back to the deployed version."""
    _show(_ask(url, lambda c: c.abort_rollout(rollout_id, reason)), as_json, "rollout")


def add_installed_commands(target: typer.Typer) -> int:
    """Merge the commands other packages offer; returns how many packages did.

    A broken one is named, not fatal.
    """
    added = 0
    for point in entry_points(group="fx.commands"):
        try:
            found = point.load()
            if isinstance(found, typer.Typer):
                target.add_typer(found)
            else:
                found(target)
            added += 1
        except ModuleNotFoundError:
            continue  # the package is there without its extra: same as not installed
        except Exception as error:
            typer.secho(f"fx: the commands of {point.name!r} ({point.value}) do not load: {error}", fg="red", err=True)
    return added


def main() -> None:
    """The console script."""
    if not add_installed_commands(app):
        app.info.epilog = _NO_PLATFORM
    app(prog_name="fx")


if __name__ == "__main__":
    sys.exit(main())

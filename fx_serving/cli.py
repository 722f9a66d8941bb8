"""The `fx` command: serving commands, and those that other installed packages add (entry-point group
fx.commands).

Only typer is imported here at module level: `fx --help` must answer at once.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import typer

from fx_serving import cli_logs
from fx_serving.cli_access import token_app
from fx_serving.cli_audit import audit_app
from fx_serving.cli_common import Json, Url, ask, fail, parse_pairs, show
from fx_serving.cli_rollout import rollout_app, traffic_app
from fx_serving.cli_state import state_app

_NO_PLATFORM = (
    "The commands of the data platform (bring data in, build features, train, monitor) are not installed: "
    "pip install 'fx-platform\\[platform]'"
)
app = typer.Typer(
    name="fx",
    help="FX predictions: serve models, ask for predictions, roll out new versions.\n\n"
    "A first look:  fx serve  in one terminal, then  fx predict GBP_USD  in another.\n\n"
    "Historical data are stale by today's clock: set FX_CLOCK to their end. After  fx demo  the command  "
    "fx up --home .fx/demo  does so itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="rich",
)
app.add_typer(traffic_app, name="traffic")
app.add_typer(rollout_app, name="rollout")
app.add_typer(audit_app, name="audit")
app.add_typer(token_app, name="token")
app.add_typer(state_app, name="state")
app.command("logs")(cli_logs.logs)


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
    from fx_serving.processes import kept_log, setup_logging
    from fx_serving.supervisor import Supervisor

    for option, value, least, most in (("--port", port, 0, 65_535), ("--workers", workers, 1, 256)):
        if value is not None and not least <= value <= most:
            raise typer.BadParameter(f"{value}: must lie within {least} and {most}", param_hint=option)
    stores = Stores((home or fx_home()).resolve())
    given = {k: v for k, v in {"host": host, "port": port, "workers": workers}.items() if v is not None}
    try:
        now()
        config = ServingConfig.model_validate(load_config(stores.home).model_dump() | given)
        if not stores.home.exists():
            stores.home.mkdir(parents=True)
            typer.echo(
                f"{stores.home} is new and empty. If another data folder was meant: --home, or FX_HOME.", err=True
            )
        open_blobs(stores, config.feature_blobs).close()  # its settings are wrong for every worker, or for none
        with kept_log(stores):
            setup_logging("supervisor")
            Supervisor(stores, config).run()
    except (StartError, ConfigError, ClockError, BlobStoreError) as error:
        fail(str(error))
    except OSError as error:
        fail(
            f"fx serve: {error.filename or stores.home}: {error.strerror or error}. "
            "Choose a data folder that can be written: --home, or FX_HOME."
        )
    except ValueError as error:
        fail(f"fx serve: {error}")


@app.command()
def predict(
    instruments: Annotated[
        list[str], typer.Argument(metavar="INSTRUMENT...", help="Such as GBP_USD; several at once.")
    ],
    timestamp: Annotated[
        str | None, typer.Option(help="Score as of then: ISO 8601 with offset, 2022-03-04T21:30:00Z.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Default: the service's default model.")] = None,
    feature: Annotated[
        list[str] | None, typer.Option(help="name=value: replaces a value of the feature store. Repeatable.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Equal keys stay in one slot during a rollout.")] = None,
    slot: Annotated[str | None, typer.Option(help="Force blue (deployed) or green (candidate).")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say which features made the answer.")] = False,
    show_features: Annotated[bool, typer.Option("--show-features", help="List every value that was scored.")] = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Ask for predictions.  Example: fx predict GBP_USD --feature rsi_14=71"""
    if slot not in (None, "blue", "green"):
        raise typer.BadParameter(f"{slot!r}: must be blue or green", param_hint="--slot")
    features = parse_pairs(feature or [], "--feature")
    if len(instruments) > 1:
        if slot or show_features:
            raise typer.BadParameter("for one instrument at a time", param_hint="--slot, --show-features")
        many = ask(
            url,
            lambda c: c.predict_many(
                instruments, timestamp=timestamp, model=model, features=features, key=key, explain=explain
            ),
        )
        show(many, as_json, "predictions")
        if many["answered"] < len(instruments):
            raise typer.Exit(1)
        return
    answer = ask(url, lambda c: c.predict(instruments[0], timestamp, model, features, key, slot, explain=explain))
    show(answer, as_json, "prediction")
    if show_features and not as_json:
        show(answer["features_used"], as_json, "features")


@app.command()
def feedback(
    prediction_id: Annotated[str, typer.Argument(help="As given by the prediction.")],
    direction: Annotated[int | None, typer.Option(help="What really happened: -1, 0 or 1.", min=-1, max=1)] = None,
    value: Annotated[float | None, typer.Option(help="The realized value, in the label's unit.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Report what really happened after a prediction."""
    answer = ask(url, lambda c: c.feedback(prediction_id, realized_direction=direction, realized_value=value))
    show(answer, as_json, "feedback")


@app.command("exec", context_settings={"allow_interspersed_args": False})
def execute(
    command: Annotated[list[str], typer.Argument(metavar="PROGRAM [ARGUMENT]...", help="A program of the PATH.")],
) -> None:
    """Become another program, with the secrets of FX_SECRETS_DIR and FX_SECRETS_COMMAND in its environment.

    For what does not read them itself. Example: fx exec dagster-webserver -w workspace.yaml
    """
    try:
        os.execvp(command[0], command)
    except OSError as error:
        fail(f"fx exec: {command[0]}: {error.strerror}. Name a program of the PATH, or the path of one.")


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
    # What a command imports stays: looking through it again and again is a sixth of the time until it begins.
    gc.set_threshold(50_000, 20, 50)
    # What only becomes another program does not wait for commands that nobody asked for.
    if sys.argv[1:2] != ["exec"] and not add_installed_commands(app):
        app.info.epilog = _NO_PLATFORM
    _read_secrets()
    app(prog_name="fx")


def _read_secrets() -> None:
    """Before the command, which finds them in the environment. Whoever asks for help needs none."""
    asked = os.environ.get("FX_SECRETS_DIR") or os.environ.get("FX_SECRETS_COMMAND")
    if not asked or len(sys.argv) == 1 or "--help" in sys.argv or "_FX_COMPLETE" in os.environ:
        return
    from fx_serving.client.secret_sources import SecretsError, read_secrets

    try:
        read_secrets()
    except SecretsError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

"""fx rollback-data: silver and gold as they would be if nothing had been fetched after a moment."""

from __future__ import annotations

from typing import Annotated

import typer

from fx_assets.cli.common import Home, interrupt_on_signals, plain_errors, use_home


@plain_errors
def rollback_data(
    as_of: Annotated[
        str, typer.Option("--as-of", help="The moment, with offset: 2022-03-04T22:00:00Z.", metavar="TIME")
    ],
    first: Annotated[
        str | None,
        typer.Option("--from", help="First session. Default: the first that later fetches touched.", metavar="DATE"),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", help="Last session. Default: the newest that was made.", metavar="DATE")
    ] = None,
    home: Home = None,
) -> None:
    """Make silver and gold again from what bronze had been fetched by a moment. Bronze itself is not touched.

    Afterwards these partitions count as outdated: `fx backfill` makes them from all fetches again, and so does a
    running platform. Stop it first.

    Example:  fx rollback-data --as-of 2022-03-04T22:00:00Z
    """
    from fx_assets.bronze.files import Bronze
    from fx_assets.cli.progress import RunProgress
    from fx_assets.configuration import load_configuration
    from fx_assets.errors import ConfigError
    from fx_assets.lake import Lake, lake_root
    from fx_assets.quality.held import Held
    from fx_assets.resources.home import AS_OF
    from fx_assets.runs.backfill.drive import only_one
    from fx_assets.runs.rollback import rest_of_rollback, rollback_run
    from fx_assets.runs.start import RunFailed, execute_plan
    from fx_assets.stack.environment import environment
    from fx_serving.client.clock import parse_utc, to_iso

    interrupt_on_signals()
    try:
        moment = parse_utc(as_of)
    except ValueError as error:
        raise ConfigError(f"--as-of: {error}.") from None
    folder = use_home(home)
    configuration = load_configuration()
    lake = Lake(lake_root(folder, configuration.data.storage))
    plan = rollback_run(lake, configuration, moment, first, last)
    if plan is None:
        typer.secho(f"nothing was fetched after {to_iso(moment)} that silver and gold are made of", fg="green")
        return
    variables = {**environment(folder, configuration), AS_OF: to_iso(moment)}
    log = folder / "logs" / "rollback.log"
    with only_one(folder), RunProgress() as progress:
        failed: RunFailed | None = None
        plans = {"from bronze": plan}
        try:
            execute_plan([plan], variables, log, progress.follow(plans))
        except RunFailed as error:
            failed = error  # a check that blocks sessions also fails the run that finds them
        held = Held(folder, Bronze(lake.store, moment), configuration).sessions()
        rest, blocked = rest_of_rollback(lake, configuration, plan, held)
        if failed is not None and not blocked:
            raise failed
        plans = {f"{run.first} to {run.last}": run for run in rest}
        if rest:
            execute_plan(rest, variables, log, progress.follow(plans))
    typer.secho(f"sessions {plan.first} to {plan.last} are as of {to_iso(moment)}", fg="green")
    if blocked:
        named = ", ".join(blocked[:5]) + (f" and {len(blocked) - 5} more" if len(blocked) > 5 else "")
        typer.secho(f"blocked as of then, and what is made of them left as it was: {named} (fx quality)", fg="yellow")
    typer.echo("to undo it:  fx backfill")

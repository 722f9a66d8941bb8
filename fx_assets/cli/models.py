"""fx models: the registered models; who is champion, why, and whether a version can be made again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import Home, plain_errors, use_home, wide_console
from fx_assets.cli.study import study

if TYPE_CHECKING:
    from fx_assets.models.registry import VersionRecord
    from fx_serving.client.home import Stores

app = typer.Typer(
    invoke_without_command=True,
    help="""Registered models: what there is, who is champion and why.

Each training registers a version as challenger. Gates approve or reject it; an approved one becomes champion by \
itself, and what `deploy: true` models serve follows the champion. A person may intervene, always with a reason, and \
every change stays on record.

fx models: all models, their champions, when they expire

fx models show move_60m/3: one version: gates, figures, lineage, history

fx models promote move_60m/3 --reason TEXT: make an approved version champion

fx models reject move_60m/3 --reason TEXT: forbid a version

fx models rollback move_60m --reason TEXT: back to the champion before

fx models retire move_60m --reason TEXT: no champion, as when the label has changed

fx models reproduce move_60m/3: make it again, compare to the last bit

fx models prune move_60m: remove the training rows of old versions

A version is written MODEL/NUMBER, MODEL/champion or MODEL/challenger.
""",
)
app.command("study")(study)

Version = Annotated[
    str, typer.Argument(metavar="MODEL/VERSION", help="Such as move_60m/3, move_60m/champion or move_60m/challenger.")
]
Named = Annotated[str, typer.Argument(metavar="MODEL", help="A model of models.yaml, such as move_60m.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept for good.")]
Actor = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who decides. Default: the user's name.")]


@app.callback()
def models(context: typer.Context, home: Home = None) -> None:
    if context.invoked_subcommand is None:
        list_(home)


@app.command("list")
@plain_errors
def list_(home: Home = None) -> None:
    """Every model: champion, newest version, what is served, when it expires. The same as `fx models`."""
    from rich.table import Table

    from fx_assets.configuration import load_configuration
    from fx_assets.models import registry
    from fx_assets.stack.environment import use_replay_clock
    from fx_serving.client.clock import now
    from fx_serving.client.rollout_log import deployed

    stores = _stores(home)
    configuration = load_configuration()
    use_replay_clock(configuration)
    served = deployed(stores.state)
    table = Table("model", "profile", "champion", "of session", "expires", "newest", "its gates", "versions", "served")
    known = registry.exists(stores.home)
    for name, entry in configuration.models.models.items():
        found = registry.records(stores, name) if known else []
        champion = next((record for record in found if registry.CHAMPION in record.aliases), None)
        newest = found[0] if found else None
        table.add_row(
            name,
            entry.gates,
            champion.version if champion else "none",
            champion.session if champion else "-",
            _expiry(champion, now()),
            newest.version if newest else "none",
            newest.gates if newest else "-",
            str(len(found)),
            served.get(name, "-"),
        )
    wide_console().print(table)
    typer.echo("details:  fx models show MODEL/VERSION")


@app.command()
@plain_errors
def show(version: Version, home: Home = None) -> None:
    """One version: its gates and figures, what it was made of, where its files are, and every decision about it.

    Example:  fx models show move_60m/champion
    """
    from rich.table import Table

    from fx_assets.models import registry, report

    stores = _stores(home)
    found = _resolve(stores, version)
    console = wide_console()
    table = Table("", f"{found.model} version {found.version}", show_header=True)
    for name, value in {
        "aliases": ", ".join(found.aliases) or "none",
        "gates": found.gates + (f", missed {', '.join(found.missed)}" if found.missed else ""),
        "expires": _expiry(found, _now()),
        "registered": found.created_at.isoformat(timespec="seconds"),
        **{name: getattr(found, name) or "not on record" for name in registry.LINEAGE_TAGS},
        "mlflow run": found.run_id,
    }.items():
        table.add_row(name, value)
    console.print(table)
    if not found.lacks:
        figures = Table("figure", "value [95 %]")
        for line in report.summary_table(registry.figures(stores, found)).splitlines()[2:]:
            figures.add_row(*(cell.strip() for cell in line.strip("|").split("|", 1)))
        console.print(figures)
        files = registry.artifact(stores, found, registry.SPEC).parent
        typer.echo(f"files: {files}")
        card = files / "card"
        if card.is_dir():
            typer.echo(f"model card: {', '.join(str(path) for path in sorted(card.glob('*.html')))}")
    _history(stores, found, console)


@app.command()
@plain_errors
def promote(
    version: Version,
    reason: Reason,
    actor: Actor = None,
    force: Annotated[
        bool, typer.Option("--force", help="Although its gates did not approve it, or it has expired.")
    ] = False,
    home: Home = None,
) -> None:
    """Make a version champion. What the service serves changes with the next rollout, not here.

    Example:  fx models promote move_60m/3 --reason "the spread model of 4 was wrong"
    """
    from fx_assets.models import promotion

    stores = _stores(home)
    found = _resolve(stores, version)
    change = promotion.promote(
        stores, found.model, found.version, reason=reason, actor=actor or promotion.person(), force=force
    )
    _moved(stores, change)


@app.command()
@plain_errors
def reject(version: Version, reason: Reason, actor: Actor = None, home: Home = None) -> None:
    """Mark a version as rejected, so that it never becomes champion by itself. The champion cannot be rejected.

    Example:  fx models reject move_60m/4 --reason "trained on the week of the outage"
    """
    from fx_assets.models import promotion

    stores = _stores(home)
    found = _resolve(stores, version)
    change = promotion.reject(stores, found.model, found.version, reason=reason, actor=actor or promotion.person())
    typer.secho(f"{change.model} version {change.version} is rejected", fg="green")


@app.command()
@plain_errors
def rollback(
    model: Named,
    reason: Reason,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Default: the champion before this one.")
    ] = None,
    actor: Actor = None,
    home: Home = None,
) -> None:
    """Make the champion before the present one champion again.

    Example:  fx models rollback move_60m --reason "errors since Monday"
    """
    from fx_assets.models import promotion

    stores = _stores(home)
    _moved(stores, promotion.rollback(stores, model, reason=reason, actor=actor or promotion.person(), to=to))


@app.command()
@plain_errors
def retire(model: Named, reason: Reason, actor: Actor = None, home: Home = None) -> None:
    """Leave a model without champion: after its label or features changed, so that nothing is comparable with it.

    The next version that passes its gates becomes champion without a comparison. What is served stays as it is.

    Example:  fx models retire move_60m --reason "the label now looks two hours ahead"
    """
    from fx_assets.models import promotion

    stores = _stores(home)
    change = promotion.retire(stores, model, reason=reason, actor=actor or promotion.person())
    typer.secho(f"{model} has no champion any more (it was version {change.previous})", fg="green")


@app.command()
@plain_errors
def reproduce(version: Version, home: Home = None) -> None:
    """Fit and study a version again from its registry entry alone, and compare bytes, figures and predictions.

    Takes as long as its training. Exit code 1 when anything differs; everything that does is named.

    Example:  fx models reproduce move_60m/champion
    """
    from fx_assets.lake import open_lake
    from fx_assets.models.reproduce import reproduce as run

    stores = _stores(home)
    found = _resolve(stores, version)
    outcome = run(stores, found.model, found.version, lambda line: typer.echo(f"  {line}", err=True), lake=open_lake())
    for line in outcome.environment:
        typer.secho(f"other than when it was trained: {line}", fg="yellow")
    if outcome.equal:
        typer.secho(
            f"{outcome.model} version {outcome.version} is reproduced: model {outcome.model_sha256[:12]} byte for byte,"
            f" {outcome.figures} figures and {outcome.rows} predictions equal",
            fg="green",
        )
        return
    for line in outcome.differences:
        typer.secho(line, fg="red", err=True)
    typer.secho(f"{outcome.model} version {outcome.version} is not reproduced", fg="red", err=True)
    raise typer.Exit(1)


@app.command()
@plain_errors
def prune(
    model: Named,
    keep: Annotated[int, typer.Option(help="Newest versions that keep their rows.", min=0)] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")] = False,
    home: Home = None,
) -> None:
    """Remove the training rows of old versions: some 40 MB each, of which the session's training set is a copy.

    Champion, challenger, the champion before, what is served and the newest
    versions keep theirs; model, figures, card and lineage of all stay. A
    version without rows is reproduced from its session's training set, as
    long as that has the same hash.

    Example:  fx models prune move_60m --keep 8
    """
    from fx_assets.models import retention

    gone = retention.prune(_stores(home), model, keep, dry_run=dry_run)
    what = "would be removed" if dry_run else "removed"
    for found in gone:
        typer.echo(f"  version {found.version}, session {found.session}: {found.bytes / 1e6:.1f} MB")
    typer.echo(f"{model}: training rows of {len(gone)} versions {what}, {sum(f.bytes for f in gone) / 1e6:.1f} MB")


def _stores(home: Path | None) -> Stores:
    from fx_serving.client.home import Stores

    return Stores(use_home(home))


def _resolve(stores: Stores, text: str) -> VersionRecord:
    """The version that MODEL/VERSION names; an alias in place of the number."""
    from fx_assets.errors import ConfigError
    from fx_assets.models import registry

    model, slash, version = text.partition("/")
    if not (model and slash and version):
        raise ConfigError(f"{text!r} is no version. Write MODEL/VERSION, such as move_60m/3 or move_60m/champion.")
    if version in (registry.CHAMPION, registry.CHALLENGER):
        number = registry.version_with_alias(registry.open_registry(stores.home), model, version)
        if number is None:
            raise ConfigError(f"{model} has no {version}. `fx models` shows what there is.")
        version = number
    return registry.record(stores, model, version)


def _expiry(found: VersionRecord | None, now: Any) -> str:
    if found is None:
        return "-"
    if found.expires_at is None:
        return "never"
    day = f"{found.expires_at:%Y-%m-%d}"
    return f"EXPIRED {day}" if found.expired(now) else day


def _now() -> Any:
    from fx_assets.configuration import load_configuration
    from fx_assets.stack.environment import use_replay_clock
    from fx_serving.client.clock import now

    use_replay_clock(load_configuration())
    return now()


def _history(stores: Stores, found: VersionRecord, console: Any) -> None:
    """Every decision that concerns a version."""
    from rich.table import Table

    from fx_assets.models import promotion

    concerned = [
        change
        for change in promotion.history(stores, found.model)
        if found.version in (change.version, change.previous)
    ]
    if not concerned:
        return
    table = Table("at", "what", "version", "before", "by", "reason", "outcome")
    for change in concerned:
        row = (change.version or "-", change.previous or "none", change.actor, change.reason, change.outcome)
        table.add_row(change.at.isoformat(timespec="seconds"), change.action, *row)
    console.print(table)


def _moved(stores: Stores, change: Any) -> None:
    """What a change of champion means, and what is left to do."""
    before = f" (before: version {change.previous})" if change.previous else ""
    typer.secho(f"champion of {change.model} is version {change.version}{before}", fg="green")
    if (stores.bundles / change.model / change.version).is_dir():
        typer.echo(f"to serve it:  fx rollout start {change.model} {change.version}")

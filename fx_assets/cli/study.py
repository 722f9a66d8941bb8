"""fx models study: the honest study of a model on any candle files, without a home and without Dagster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fx_assets.cli.common import plain_errors, plural, wide_console


@plain_errors
def study(
    files: Annotated[
        list[str],
        typer.Argument(help="Candle files: SYMBOL=FILE, or FILE whose name holds the pair.", metavar="FILE..."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("fx-study"),
    model: Annotated[
        list[str] | None, typer.Option(help="Entry of models.yaml. Repeatable. Default: every entry.")
    ] = None,
    each: Annotated[bool, typer.Option("--each", help="One study for each instrument, not one over all.")] = False,
    folds: Annotated[int, typer.Option(help="Folds. Default: what models.yaml says.", min=0, max=20)] = 0,
    horizon_bars: Annotated[int, typer.Option(help="Look this many bars ahead, whatever the entry says.", min=0)] = 0,
    spread_bp: Annotated[
        float, typer.Option(help="Spread in basis points of the price, where no bid and ask are recorded.", min=0)
    ] = 1.0,
    minutes: Annotated[int, typer.Option(help="Length of a bar. Default: what the times tell.", min=0)] = 0,
) -> None:
    """Study models of models.yaml on candle files: every fold, costs, gates.

    A file needs time (ISO 8601 with offset), open, high, low, close; volume
    and bid and ask (bid_close, or bid_o to ask_c) are taken where they are
    there: CSV, Parquet or NDJSON, also .gz. All files are studied together,
    as one model over several instruments. The report says whether the model
    beats volatility persistence by 0.01 AUC at the lower bound, or does not.

    Example:  fx models study EURUSD_H1.csv GBP_USD=cable.parquet
    """
    from fx_assets.configuration import load_configuration
    from fx_assets.models import study_files, study_page, study_run
    from fx_assets.models.decision import profile_of

    configuration = load_configuration()
    entries = _chosen(configuration, model or [], horizon_bars)
    paths = study_files.named(files)
    console = wide_console()
    bars = study_files.read(paths, minutes)
    console.print(f"{plural(len(bars.candles), 'bar')} of {plural(len(bars.files), 'instrument')}", highlight=False)
    table, names = study_files.features(bars)
    typical, recorded = study_files.half_spreads(bars, spread_bp)
    outcomes = []
    for name, entry in entries.items():
        rows = study_files.training_rows(bars, table, names, entry.label, entry.training.half_life_days)
        parts = {name: rows}
        if each:
            parts = {f"{name}_{symbol}": part for symbol, part in rows.groupby("instrument", sort=True)}
        for title, part in parts.items():
            spec = study_run.spec_of(entry, names, typical, recorded, folds)
            profile = profile_of(configuration.gates, entry.gates)
            with _bar(console, title, study_run.steps(spec)) as step:
                part = part.reset_index(drop=True)
                outcomes.append(study_run.run(title, entry, part, spec, profile, step))
            console.print(study_run.headline(outcomes[-1]), highlight=False, markup=False, soft_wrap=True)
            for sentence in outcomes[-1].sentences:
                console.print(f"  {sentence}", highlight=False, markup=False, soft_wrap=True)
    for path in study_page.write(out, bars, names, outcomes, spread_bp):
        typer.echo(str(path))


def _chosen(configuration: Any, wanted: list[str], horizon_bars: int) -> dict[str, Any]:
    """The entries to study, with another horizon where one is asked for."""
    from fx_assets.configuration import Label
    from fx_assets.errors import ConfigError

    known = configuration.models.models
    if unknown := [name for name in wanted if name not in known]:
        raise ConfigError(f"--model {unknown[0]}: is not in models.yaml. There are {', '.join(known)}.")
    found = {}
    for name in dict.fromkeys(wanted or known):
        entry = known[name]
        if entry.label.kind == "meta" and entry.label.primary != "last_sign":
            if wanted:
                raise ConfigError(
                    f"--model {name}: follows the forecasts of {entry.label.primary}, which files of candles do not "
                    "have. Study it in the platform: fx backfill, then its model_study."
                )
            continue
        if horizon_bars:
            if entry.label.has_barriers:
                raise ConfigError(f"--horizon-bars: {name} ends at barriers. Choose other entries with --model.")
            entry = entry.model_copy(update={"label": Label(kind=entry.label.kind, horizon_bars=horizon_bars)})
        found[name] = entry
    return found


class _bar:
    """A progress bar that advances with each line of a study; nothing where the output is no terminal."""

    def __init__(self, console: Any, title: str, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<60}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self.title, self.total = title, total

    def __enter__(self) -> Any:
        self.bars.start()
        task = self.bars.add_task(self.title, total=self.total)
        return lambda line: self.bars.update(task, advance=1, description=f"{self.title}: {line[:40]}")

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

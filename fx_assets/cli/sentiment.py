"""fx sentiment: train a scorer of headlines, measure scorers against labels, score texts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fx_assets.cli.common import plain_errors, wide_console

if TYPE_CHECKING:
    from fx_assets.sentiment import Scorer

app = typer.Typer(help="Sentiment of headlines: train a scorer, measure scorers against labels, score texts.")

Labelled = Annotated[
    Path, typer.Argument(help="Labelled texts: CSV, TSV, Parquet, NDJSON or lines sentence@label; also .gz.")
]
TextColumn = Annotated[str | None, typer.Option(help="Column of the text. Default: text, sentence, headline, title...")]
LabelColumn = Annotated[str | None, typer.Option(help="Column of the label. Default: label, sentiment, class...")]
EntityColumn = Annotated[
    str | None, typer.Option(help="Column of what the label is about. Default: entity, if there is one.")
]
Labels = Annotated[
    str | None, typer.Option(help="What labels mean, such as 0=negative,1=neutral,2=positive.", metavar="MAP")
]
Band = Annotated[float, typer.Option(help="Labels that are fractions are neutral within it.", min=0, max=1)]
Name = Annotated[str, typer.Option(help="lexicon, linear, finbert, fingpt or vader.")]
Model = Annotated[str | None, typer.Option(help="A trained model's file, or a transformer's folder or hub name.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps; for finbert and fingpt.")]
Batch = Annotated[int, typer.Option(help="Texts at once; for finbert and fingpt.", min=1)]


@app.command()
@plain_errors
def train(
    file: Labelled,
    out: Annotated[Path, typer.Option(help="Where to write the model; its report is put beside it.")],
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    entity_column: EntityColumn = None,
    labels: Labels = None,
    band: Band = 0.05,
) -> None:
    """Train the linear scorer, cross-validate it, and write the model and MODEL.report.json.

    Example:  fx sentiment train labelled.csv --out sentiment.model
    """
    import msgspec

    from fx_assets.sentiment.labelled import read_labelled
    from fx_assets.sentiment.training import FOLDS, train
    from fx_serving.client.files import atomic_write

    data = read_labelled(file, text_column, label_column, entity_column, labels, band)
    with _bar() as bar:
        task = bar.add_task("reading", total=FOLDS + 3)
        model, report = train(data, lambda what: bar.update(task, description=what, advance=1))
        bar.update(task, description="done", advance=1)
    model.save(out)
    report_file = out.with_name(out.name + ".report.json")
    atomic_write(report_file, msgspec.json.format(msgspec.json.encode({"file": file.name, **report}), indent=1) + b"\n")
    found = report["cross_validation"]
    same = report["same_rows_accuracy"]
    typer.echo(f"{file}: {report['rows']} rows, {report['texts']} texts, {report['duplicates']} duplicates")
    typer.echo(
        f"cross-validation: accuracy {found['accuracy']:.4f} (standard error {found['standard_error']:.4f}; folds "
        + " ".join(f"{fold:.4f}" for fold in found["folds"])
        + f"), macro F1 {found['pooled']['macro_f1']:.4f}"
    )
    if report["entities"]:
        typer.echo(f"without being told the entity: accuracy {found['accuracy_without_entity']:.4f}")
    typer.echo(
        f"same rows: vader {same['vader']:.4f}, lexicon {same['lexicon']:.4f}, base rate {report['base_rate']:.4f}"
    )
    typer.echo(f"model: {out}  report: {report_file}")
    typer.echo(f"use it:  sentiment: {{scorer: linear, model: {out.resolve()}}}  in data.yaml")


@app.command()
@plain_errors
def evaluate(
    file: Labelled,
    scorer: Name = "lexicon",
    model: Model = None,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    entity_column: EntityColumn = None,
    labels: Labels = None,
    band: Band = 0.05,
    device: Device = "auto",
    batch: Batch = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Accuracy, F1 and confusion of a scorer on labelled texts, beside plain VADER on the same rows.

    Example:  fx sentiment evaluate labelled.csv --scorer linear --model sentiment.model
    """
    import msgspec

    from fx_assets.sentiment.evaluation import evaluate
    from fx_assets.sentiment.labelled import read_labelled

    data = read_labelled(file, text_column, label_column, entity_column, labels, band)
    found = evaluate(_scorer(scorer, model, device, batch), data)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
        return
    _print(found)


@app.command()
@plain_errors
def score(
    what: Annotated[str, typer.Argument(help="A text, or a file: one text a line, or a table with a text column.")],
    scorer: Name = "lexicon",
    model: Model = None,
    text_column: TextColumn = None,
    out: Annotated[Path | None, typer.Option(help="Write a table (.csv, .parquet, .ndjson) and print nothing.")] = None,
    device: Device = "auto",
    batch: Batch = 32,
) -> None:
    """Score a text or every text of a file: from -1 (bad news) to 1 (good news).

    Example:  fx sentiment score "Fed raises rates, stocks tumble"
    """
    from fx_assets.sentiment import banded
    from fx_assets.sentiment.base import LABELS
    from fx_assets.sentiment.labelled import read_texts

    texts = read_texts(Path(what), text_column) if _is_file(what) else [what]
    used = _scorer(scorer, model, device, batch)
    scores = used.score(texts)
    if out is not None:
        import pandas as pd

        from fx_assets.frames import write_frame

        write_frame(pd.DataFrame({"text": texts, "sentiment": scores, "scorer": used.version}), out)
        typer.echo(f"{out}: {len(texts)} texts scored by {used.version}")
        return
    for text, value, label in zip(texts, scores, banded(scores), strict=True):
        typer.echo(f"{value:+.4f}  {LABELS[label + 1]:<8}  {text}")


def _is_file(what: str) -> bool:
    """Whether the argument names a file; a text of a sentence's length may be no valid path at all."""
    from fx_assets.errors import DataError

    path = Path(what)
    try:
        there, folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):
        return False
    if folder:
        raise DataError(f"{what}: is a folder, no such file. Give a file in it.")
    known = (".csv", ".tsv", ".parquet", ".pq", ".ndjson", ".jsonl", ".json", ".txt", ".gz")
    if not there and path.suffix.lower() in known:
        raise DataError(f"{what}: no such file. Check the path.")
    return there


def _scorer(name: str, model: str | None, device: str, batch: int) -> Scorer:
    import logging

    from pydantic import ValidationError

    from fx_assets.configuration.data import Sentiment
    from fx_assets.errors import ConfigError
    from fx_assets.sentiment import make_scorer

    logging.basicConfig(format="%(message)s")  # a fall-back must be seen
    try:
        options = Sentiment.model_validate({"scorer": name, "model": model, "device": device, "batch": batch})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]}: {first['input']!r}: {first['msg']}. Change it.") from None
    if name == "linear" and model is None:
        raise ConfigError("--model: missing, and scorer linear needs one. Train it with `fx sentiment train FILE`.")
    return make_scorer(options)


def _bar() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), transient=True
    )


def _print(found: dict[str, Any]) -> None:
    from rich.table import Table

    from fx_assets.sentiment.base import LABELS

    console = wide_console()
    low, high = found["accuracy_interval_95"]
    gain = 100 * (found["accuracy"] - found["vader"]["accuracy"])
    console.print(
        f"{found['file']}: {found['n']} rows, {found['texts']} texts, scored by {found['version']}", style="bold"
    )
    if found["skipped"]:
        console.print(f"rows without a text, left out: {found['skipped']}", style="yellow")
    console.print(f"accuracy {found['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f})", highlight=False)
    console.print(f"macro F1 {found['macro_f1']:.4f}   base rate {found['base_rate']:.4f}", highlight=False)
    console.print(
        f"plain VADER on the same rows: accuracy {found['vader']['accuracy']:.4f}, macro F1 "
        f"{found['vader']['macro_f1']:.4f} (difference {gain:+.1f} points of accuracy)",
        highlight=False,
    )
    console.print(f"{found['headlines_per_second']:,.0f} headlines/s of processor time", highlight=False)
    table = Table("label", "precision", "recall", "F1", *(f"called {name}" for name in LABELS))
    for name, row in zip(LABELS, found["confusion"], strict=True):
        one = found["classes"][name]
        shares = (f"{one[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(name, *shares, *(str(count) for count in row))
    console.print(table)

"""fx features: the feature table of any candle file, without Dagster or a home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fx_assets.cli.common import plain_errors


@plain_errors
def features(
    file: Annotated[Path, typer.Argument(help="Candles of one instrument: CSV, Parquet or NDJSON, also .gz.")],
    out: Annotated[Path, typer.Option(help="Where to write the table: .csv, .parquet or .ndjson, also .gz.")],
    instrument: Annotated[str, typer.Option(help="Adds a column with this symbol, such as EUR_USD.")] = "",
) -> None:
    """Compute every market feature of a candle file.

    Needs columns time (ISO 8601 with offset), open, high, low, close; takes volume, bid_close and ask_close.
    Example:  fx features EURUSD.csv --out features.parquet
    """
    from fx_assets.features import available_features, compute_features
    from fx_assets.frames import frame_format, write_frame
    from fx_assets.sources.candle_file import read_candle_file

    frame_format(out)  # before the work, not after it
    bars = read_candle_file(file)
    bars.insert(0, "instrument", instrument)
    names, dropped = available_features(bars.columns)
    table = compute_features(bars)
    write_frame(table if instrument else table.drop(columns="instrument"), out)
    typer.echo(f"{out}: {len(table)} rows, {len(names)} features")
    for column in sorted({c for missing in dropped.values() for c in missing}):
        lost = [name for name, missing in dropped.items() if column in missing]
        typer.echo(f"no column {column} in {file.name}: left out {', '.join(lost)}")

"""What the stored tables say about quality: quarantined and missing candles, blocked sessions, and clocks by week."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from fx_assets.configuration import Configuration
from fx_assets.errors import ConfigError, MissingData
from fx_assets.lake import Lake
from fx_assets.quality.findings import FINDING_COLUMNS
from fx_assets.quality.market import Market
from fx_assets.quality.reasons import REASONS
from fx_assets.quality.report import RunReport
from fx_assets.quality.screen import screen

CANDLES, QUARANTINE = "silver/candles", "silver/quarantine"
_CHUNK_SESSIONS = 60


@dataclass(frozen=True)
class StoredQuality:
    """findings: see findings.FINDING_COLUMNS. problems: by session, why nothing may be built on it."""

    keys: list[str]
    candles: int
    quarantined: int
    findings: pd.DataFrame
    problems: dict[str, tuple[str, ...]]
    clocks: list[str]


def stored_quality(
    lake: Lake, configuration: Configuration, first: str | None, last: str | None, instrument: str | None, now: datetime
) -> StoredQuality:
    """Over the sessions from first to last that are made (all by default), for one instrument or all of them.

    Raises MissingData where none of them is made, ConfigError for an unknown instrument.
    """
    market = Market.of(configuration)
    if instrument is not None and instrument not in market.symbols:
        raise ConfigError(f"--instrument: '{instrument}' is not in instruments.yaml: {', '.join(market.symbols)}.")
    keys = [k for k in lake.keys(CANDLES) if (first is None or k >= first) and (last is None or k <= last)]
    if not keys:
        raise MissingData(
            f"{CANDLES}: no session from {first or 'the start'} to {last or 'the end'} is made. "
            "Run `fx backfill --from DATE --to DATE`."
        )
    report, parts, quarantined, candles = RunReport(market), [], 0, 0
    for start in range(0, len(keys), _CHUNK_SESSIONS):
        chunk = keys[start : start + _CHUNK_SESSIONS]
        good, bad = (_frame(lake.read(table, chunk)) for table in (CANDLES, QUARANTINE))
        if len(good):
            # Silver has been screened: what is found anew are missing bars, and clocks over whole weeks.
            rows = good.rename(columns={"source": "fetch_source"}).assign(fetched_at=good["time"])
            report.add(chunk, screen(rows, chunk, market, now))
        if len(bad):
            parts.append(_counted(bad))
            quarantined += len(bad.drop_duplicates(["instrument", "time", "fetched_at", "copy"]))
        candles += len(good)
    table = report.table()
    missing = table[table["check"] == "completeness"]
    found = [part for part in (*parts, missing) if len(part)]
    findings = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=FINDING_COLUMNS)
    problems = {k: s.problems for k, s in lake.stamps(CANDLES, keys).items() if s is not None and s.problems}
    if instrument is not None:
        findings = findings[findings["instrument"] == instrument]
    return StoredQuality(keys, candles, quarantined, findings, problems, report.week_shifts())


def _frame(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    parts = [frame.assign(session=key) for key, frame in frames.items() if len(frame)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _counted(bad: pd.DataFrame) -> pd.DataFrame:
    checks = {reason.code: reason.check for reason in REASONS}
    counts = bad.groupby(["session", "instrument", "source", "reason"]).size().rename("count").reset_index()
    return counts.assign(
        check=counts["reason"].map(checks), what=counts["reason"], of=np.full(len(counts), "", dtype=object)
    )[FINDING_COLUMNS]

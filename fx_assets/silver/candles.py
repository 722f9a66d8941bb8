"""silver/candles and silver/quarantine: what was fetched, told apart into what can be built on and what cannot.

One step makes both. The asset function carries no return annotation: Dagster reads MaterializeResult there as "no
value", and with checks it accepts nothing else.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from fx_assets.bronze.changes import LATE, corrections
from fx_assets.configuration import Configuration
from fx_assets.quality.findings import CHECKS, NOTED
from fx_assets.quality.held import Held
from fx_assets.quality.market import Market
from fx_assets.quality.report import WORST, RunReport, arrived_nothing, of_check, worst_table
from fx_assets.quality.screen import screen
from fx_assets.resources.home import HomeResource
from fx_assets.tables import Computed, Tables, define_assets
from fx_serving.client.clock import now

CANDLES, QUARANTINE = "silver/candles", "silver/quarantine"
# A failure of these says that silver holds something false, or that a source cannot be believed.
BLOCKING = ("source_limits", "feed_clock")
DESCRIPTIONS = {
    "possible_prices": "Positive prices, open and close within low and high.",
    "volume": "No negative volume; no movement without ticks.",
    "spread": "No ask below the bid, no absurd spread.",
    "duplicates": "No candles of one fetch and time that contradict each other.",
    "monotone_time": "Bars start where bars can start, and come in order.",
    "market_hours": "No bars while the market is closed.",
    "stale_prices": "No long runs of bars without movement.",
    "spikes": "No bar that leaves the price of its neighbours while nothing related moves.",
    "cross_rate": "Currency triangles close.",
    "feed_clock": "No feed runs hours ahead of or behind the others.",
    "source_limits": "No source has more bad candles in a session than max_bad_share allows.",
    "completeness": "The bars that the calendar expects have arrived.",
}


def build(tables: Tables, configuration: Configuration) -> Sequence[dg.AssetsDefinition]:
    """The assets made from bronze candles."""
    market = Market.of(configuration)
    arguments = tables.assets(CANDLES, QUARANTINE)
    arguments["check_specs"] = [
        *arguments["check_specs"],
        *(
            dg.AssetCheckSpec(
                check, asset=CANDLES.split("/"), blocking=check in BLOCKING, description=DESCRIPTIONS[check]
            )
            for check in CHECKS
        ),
    ]

    @define_assets(**arguments)
    def candles(context: dg.AssetExecutionContext, home: HomeResource):
        fetched = tables.bronze(context, CANDLES, "fetched", home.bronze)
        report, moment = RunReport(market), now()

        def compute(keys: list[str]) -> Computed:
            rows = fetched.read(keys)
            screened = screen(rows, keys, market, moment)
            report.add(keys, screened)
            return Computed(
                {CANDLES: screened.good, QUARANTINE: screened.quarantined},
                problems={CANDLES: screened.problems},
                figures={CANDLES: figures(rows, keys, screened.quarantined)},
            )

        results = tables.produce_all(context, (CANDLES, QUARANTINE), compute, [fetched])
        # Before the tables are shown: what a week says of its clocks is in no file.
        Held(home.stores.home, home.bronze, configuration).judge(fetched.contents, report.shifted_weeks())
        made = results[CANDLES]
        results[CANDLES] = made._replace(check_results=[*(made.check_results or ()), *check_results(report)])
        return tuple(results.values())

    return [candles]


def figures(rows: Any, keys: Sequence[str], quarantined: Any) -> dict[str, dict[str, Any]]:
    """Metadata of each session's event: candles corrected, late and quarantined. Only where there are any."""
    found: dict[str, dict[str, Any]] = {}

    def count(name: str, frame: Any) -> None:
        if len(frame):
            distinct = frame.drop_duplicates(["instrument", "time"])
            per_session = distinct["time"].map(sessions).value_counts()
            for key, number in per_session.items():
                found.setdefault(str(key), {})[name] = int(number)

    changed = corrections(rows) if len(rows) and rows.duplicated(["instrument", "time"]).any() else None
    if changed is None and not len(quarantined):
        return found
    sessions = rows.drop_duplicates("time").set_index("time")["session"]
    if changed is not None:
        count("corrected", changed[changed["column"] != LATE])
        count("late", changed[changed["column"] == LATE])
    count("quarantined", quarantined)
    return {key: told for key, told in found.items() if key in set(keys)}


def check_results(report: RunReport) -> list[dg.AssetCheckResult]:
    """One result a check, over all sessions of a run."""
    table = report.table()
    made = []
    for check in CHECKS:
        rows = of_check(table, check)
        told: list[str] = []
        if check == "source_limits":
            told = [words for key in sorted(report.problems) for words in report.problems[key]]
        elif check == "feed_clock":
            told = report.week_shifts()
        elif check == "completeness":
            told = [f"{key}: nothing arrived at all" for key in arrived_nothing(table, len(report.market.symbols))]
        severe = bool(told) or (check in BLOCKING and len(rows) > 0)
        metadata: dict[str, Any] = {"count": int(rows["count"].sum()), "candles": report.candles}
        if len(rows):
            metadata |= {"sessions": rows["session"].nunique(), "worst": dg.MetadataValue.md(worst_table(rows))}
        if told:
            metadata["problems"] = told[:WORST]
        made.append(
            dg.AssetCheckResult(
                check_name=check,
                asset_key=dg.AssetKey(CANDLES.split("/")),
                passed=not (told or (~rows["what"].isin(NOTED)).any()),
                severity=dg.AssetCheckSeverity.ERROR if severe else dg.AssetCheckSeverity.WARN,
                metadata=metadata,
                description=told[0] if told else None,
            )
        )
    return made

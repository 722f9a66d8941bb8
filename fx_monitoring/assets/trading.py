"""paper_trader and paper_trading: what the deployed models order on each bar, and what that earned."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import dagster as dg
import msgspec

from fx_assets.configuration import Configuration
from fx_assets.lake import Lake
from fx_assets.models.rollout import service_url
from fx_assets.plots import embed
from fx_assets.resources.home import HomeResource
from fx_assets.runs.pools import TRADING
from fx_assets.sessions import session_bounds
from fx_assets.tables import define_asset
from fx_monitoring.assets.common import Shared, listed
from fx_monitoring.configuration import load_monitoring
from fx_monitoring.configuration.trading import Trading
from fx_monitoring.deployed import deployed_models
from fx_monitoring.trading import figures, report
from fx_monitoring.trading.forecasts import Ask, Batch, Service, first_of
from fx_monitoring.trading.ledger import Run, open_ledger, reading
from fx_monitoring.trading.quotes import closing_quotes
from fx_monitoring.trading.trader import Trader, books, patiently
from fx_serving.client.clock import now, stands_still, to_iso
from fx_serving.client.environment import blocked
from fx_serving.client.home import Stores
from fx_serving.client.http import ServingClient

JOB = "paper_trade"
TIMEOUT_S = 10.0
# A position is valued at the newest quote of the last days.
_QUOTES = timedelta(days=4)


class TraderConfig(dg.Config):
    """mode: full or core; empty takes trading.mode of monitoring.yaml."""

    mode: str = ""


def jobs(shared: Shared) -> list[Any]:
    """The job that the schedule asks for, every half hour of market hours."""
    what = "Decide on the newest closed bar of every traded model and instrument, and fill what is due."
    return [dg.define_asset_job(JOB, selection=[dg.AssetKey("paper_trader")], description=what)]


def build(shared: Shared) -> Sequence[dg.AssetsDefinition]:
    """The two assets of paper trading."""
    return [_paper_trader(shared), _paper_trading(shared)]


def _paper_trader(shared: Shared) -> dg.AssetsDefinition:
    newest = dg.LastPartitionMapping()

    @define_asset(
        deps=[
            dg.AssetDep(["silver", "candles"], partition_mapping=newest),
            *(dg.AssetDep([model, "deployment"], partition_mapping=newest) for model in shared.deployed),
        ],
        pool=TRADING,
        check_specs=[
            dg.AssetCheckSpec("in_time", asset="paper_trader", description="Each decision came within the SLA."),
            dg.AssetCheckSpec(
                "decided", asset="paper_trader", description="In an open market every book was decided on."
            ),
        ],
        **shared.unpartitioned("Orders of the deployed models on the newest closed bars; on paper.", {"sqlite"}),
    )
    def paper_trader(context: dg.AssetExecutionContext, config: TraderConfig, home: HomeResource):
        configuration, at = shared.configuration, now()
        settings = _with_models(load_monitoring().trading, home.stores, configuration)
        mode = _mode(config.mode or settings.mode)
        run = Run(context.run.run_id, at, mode, TRADING)
        # Where the data clock stands still nothing can come.
        patience_s = 0.0 if stands_still() else settings.wait_seconds
        with ExitStack() as stack:
            client = stack.enter_context(ServingClient(service_url(home.stores), TIMEOUT_S))
            ledger = stack.enter_context(open_ledger(home.stores.trading_db))

            def trader() -> Trader:
                ask = _source(settings, client, home.lake, configuration)
                return Trader(configuration, settings, home.lake, ask, now(), blocked(home.stores))

            done = patiently(trader, ledger, run, patience_s)
        for model, symbol, _, why in done.refused:
            context.log.info(f"{model}, {symbol}: {why}")
        late = [f"{d.model}, {d.instrument}: {d.latency_s:.0f} s" for d, _, _ in done.decided if _late(settings, d)]
        undecided = [f"{m}, {s}: {why}" for m, s, _, why in done.refused if "market is closed" not in why]
        return dg.MaterializeResult(
            metadata={
                "mode": mode,
                "data_clock": to_iso(at),
                "decisions": len(done.decided),
                "orders": len(done.orders),
                "fills": len(done.fills),
                "refusals": len(done.refused),
                "books": sum(1 for _ in books(configuration, settings, mode)),
                "latency_s": max((d.latency_s for d, _, _ in done.decided), default=0.0),
                "decided": dg.MetadataValue.md(report.decision_table(done)),
                "filled": dg.MetadataValue.md(report.fill_table(done)),
            },
            check_results=[
                _warning("in_time", not late, {"sla_minutes": settings.sla_minutes, "late": listed(late)}),
                _warning("decided", not undecided, {"refused": listed(undecided)}),
            ],
        )

    return paper_trader


def _paper_trading(shared: Shared) -> dg.AssetsDefinition:
    @define_asset(
        deps=["paper_trader"],
        io_manager_key="records_monitoring",
        backfill_policy=dg.BackfillPolicy.multi_run(1),
        **shared.common("What paper trading earned up to the end of each session, net of spread and swap.", {"sqlite"}),
    )
    def paper_trading(context: dg.AssetExecutionContext, home: HomeResource):
        configuration, session = shared.configuration, context.partition_key
        at = min(now(), session_bounds(session)[1])
        found = figures.latest(home.stores, configuration, at)
        with reading(home.stores.trading_db) as connection:
            book = figures.load(connection, at) if connection is not None else None
        if found is None or book is None:
            nothing: dict[str, Any] = {"session": session, "figures": None, "books": [], "positions": []}
            return dg.MaterializeResult(value=nothing, metadata={"figures": "nothing was traded yet"})
        rows, held = figures.by_book(book.run), _valued(home, configuration, book.positions, at)
        return dg.MaterializeResult(
            value={"session": session, "figures": msgspec.to_builtins(found), "books": rows, "positions": held},
            metadata={
                "equity": embed(lambda axes: report.draw_equity(axes, book.run)),
                "figures": dg.MetadataValue.md(report.figure_table(found)),
                "books": dg.MetadataValue.md(report.book_table(rows)),
                "positions": dg.MetadataValue.md(report.position_table(held)),
                "pnl_net": found.pnl_net,
                "trades": found.trades,
                "counts": found.enough,
            },
        )

    return paper_trading


def _with_models(settings: Trading, stores: Stores, configuration: Configuration) -> Trading:
    """The settings with the deployed models where none are named."""
    if settings.models:
        return settings
    return settings.model_copy(update={"models": tuple(deployed_models(stores, configuration))})


def _source(settings: Trading, client: ServingClient, lake: Lake, configuration: Configuration) -> Ask:
    """Who is asked for forecasts."""
    batch, service = Batch(lake, now(), configuration.all_week), Service(client)
    if settings.source == "batch":
        return batch
    return service if settings.source == "service" else first_of(service, batch)


def _valued(
    home: HomeResource, configuration: Configuration, positions: Sequence[figures.Position], at: Any
) -> list[dict[str, Any]]:
    """Each held position with what it would bring at the newest quote; None where there is no quote."""
    known = configuration.instruments.instruments
    symbols = {position.instrument for position in positions if position.instrument in known}
    quotes = closing_quotes(home.lake, configuration, symbols, at - _QUOTES, at) if symbols else {}
    rows = []
    for position in positions:
        newest = (quotes.get(position.instrument) or [None])[-1]
        entry = configuration.models.models.get(position.model)
        value = None
        if newest is not None and entry is not None:
            swap = entry.strategy.swaps([position.instrument])[position.instrument]
            value = figures.unrealised(position, newest.mid, newest.half_spread, swap, newest.time)
        rows.append({**msgspec.to_builtins(position), "unrealised": value})
    return rows


def _mode(given: str) -> str:
    if given not in ("full", "core"):
        raise dg.Failure(f"paper_trader: mode: {given!r} is not full or core. Change it.", allow_retries=False)
    return given


def _late(settings: Trading, decision: Any) -> bool:
    return decision.latency_s > settings.sla_minutes * 60


def _warning(name: str, passed: bool, metadata: dict[str, Any]) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=passed, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)

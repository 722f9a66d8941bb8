"""Paper trading: gains, risk and activity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fx_assets.configuration import Configuration
from fx_monitoring.exporter.background import Collector
from fx_monitoring.exporter.catalogue import Sample
from fx_monitoring.exporter.collectors.read import figure, unix
from fx_serving.client.home import Stores


def build(stores: Stores, configuration: Configuration) -> Collector:
    """Nothing before the paper trader has run once. Once a minute: the whole ledger is read."""

    def collect() -> Iterator[Sample]:
        from fx_monitoring.trading import latest

        found = latest(stores, configuration)
        if found is None:
            return
        yield from figure("simulated_pnl", found.pnl_net)
        yield from figure("fx_simulated_pnl_gross", found.pnl_gross)
        yield from figure("fx_simulated_pnl_session", found.pnl_session)
        for window, ratio in found.sharpe.items():
            yield from figure("sharpe_ratio", ratio.value, window)
        yield from figure("max_drawdown_pct", found.max_drawdown_pct)
        yield from figure("fx_signals_per_hour", found.signals_per_hour)
        yield from figure("fx_signals_last_hour", found.signals_last_hour)
        yield from figure("fx_trades_closed", found.trades)
        yield from figure("fx_trades_win_ratio", found.win_rate)
        for model, count in Counter(position.model for position in found.positions if position.position).items():
            yield from figure("fx_open_positions", count, model)
        yield from figure("fx_trader_latency_seconds", found.latency.last_s, "last")
        yield from figure("fx_trader_latency_seconds", found.latency.worst_s, "slowest")
        yield from figure("fx_trader_run_timestamp_seconds", unix(found.last_run_at))

    return Collector("trading", collect, every_s=60, limit_s=30)

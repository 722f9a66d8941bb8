"""One run of paper trading: fill what is due, then decide on the newest closed bar of each model and instrument.

The rule is the study's: the model's label kind, threshold and latency of models.yaml, positions of whole units. An
order has to be given before the quote that fills it, and that quote has to come: it is refused where it would be late,
or where the market closes before the position ends. Whatever is not decided is recorded with its reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np

from fx_assets.configuration import Configuration, Model
from fx_assets.evaluation.positions import positions
from fx_assets.lake import Lake
from fx_assets.market_hours import Hours, market_hours
from fx_monitoring.configuration.trading import Trading
from fx_monitoring.trading.forecasts import Ask, Forecast, NoForecast, last_move
from fx_monitoring.trading.ledger import Decision, Fill, Ledger, Run
from fx_monitoring.trading.quotes import closing_quotes
from fx_monitoring.trading.settle import settle

# A horizon in bars may reach over a weekend and a holiday.
_REACH = timedelta(days=40)
CORE = 2
PAUSE_S = 15.0


class Refused(Exception):
    """Nothing is decided on this bar now; the message says why."""


@dataclass(frozen=True)
class Window:
    """The bar that is decided on (its close), and the closes at which an order is filled and its position ended."""

    bar: datetime
    entry_due: datetime
    exit_due: datetime


@dataclass
class Done:
    """What a run did. decided: each decision with what became of it, and why; refused: (model, instrument, bar, why).

    early: whether a forecast that is not there yet could still come in time.
    """

    fills: list[Fill] = field(default_factory=list)
    decided: list[tuple[Decision, str, str]] = field(default_factory=list)
    refused: list[tuple[str, str, datetime | None, str]] = field(default_factory=list)
    early: bool = False

    @property
    def orders(self) -> list[Decision]:
        return [decision for decision, outcome, _ in self.decided if outcome == "order"]


@dataclass(frozen=True)
class Trader:
    """What a run works with. now: the data clock's. blocked: why nothing may be traded at all, if anything."""

    configuration: Configuration
    settings: Trading
    lake: Lake
    ask: Ask
    now: datetime
    blocked: str | None = None

    def run(self, ledger: Ledger, run: Run) -> Done:
        """Settle, then decide on each book. Interrupted anywhere, the next run goes on where this one was."""
        ledger.begin(run, timedelta(days=self.settings.keep_refusals_days))
        done = Done(fills=self._settle(ledger, run))
        for model, symbol in books(self.configuration, self.settings, run.mode):
            window = None
            try:
                window = self._window(model, symbol)
                if ledger.has_acted(model, symbol, window.bar):
                    continue
                decision = self._decide(model, symbol, window)
            except (Refused, NoForecast) as error:
                bar = window.bar if window is not None else None
                ledger.refuse(run, model, symbol, bar, self.now, str(error))
                done.refused.append((model, symbol, bar, str(error)))
                done.early |= bar is not None and self.now < bar + self._sla
                continue
            in_time = timedelta(seconds=decision.latency_s) <= self._sla
            outcome, reason = ledger.act(run, decision, in_time, self.settings.max_trades_per_day)
            if outcome != "acted":
                done.decided.append((decision, outcome, reason))
        ledger.finish(run, self.now)
        return done

    @property
    def _sla(self) -> timedelta:
        return timedelta(minutes=self.settings.sla_minutes)

    def _settle(self, ledger: Ledger, run: Run) -> list[Fill]:
        known = self.configuration.instruments.instruments
        alive = [order for order in ledger.alive() if order.instrument in known]
        if not alive:
            return []
        since = min(order.entry_due if order.state == "pending" else order.exit_due for order in alive)
        symbols = {order.instrument for order in alive}
        quotes = closing_quotes(self.lake, self.configuration, symbols, since, self.now)
        return settle(ledger, run, quotes, self.now)

    def _window(self, model: str, symbol: str) -> Window:
        """Raises Refused where nothing may be ordered now."""
        if self.blocked:
            raise Refused(self.blocked)
        entry, instrument = self.configuration.models.models[model], self.configuration.instruments.instruments[symbol]
        if entry.label.has_barriers or not entry.label.is_probability:
            raise Refused(f"label kind {entry.label.kind}: only positions that end after a fixed time are paper traded")
        hours = market_hours(instrument.calendar)
        if not hours.is_open(self.now):
            raise Refused("the market is closed")
        opened = hours.newest_closed_bar(self.now, instrument.minutes)
        if opened is None:
            raise Refused("no bar has closed for forty days")
        return self._dues(entry, hours, opened + timedelta(minutes=instrument.minutes), instrument.minutes)

    def _dues(self, entry: Model, hours: Hours, bar: datetime, minutes: int) -> Window:
        step = timedelta(minutes=minutes)
        # A decision is made of a bar's close, and cannot be filled at that very quote: the next one is a bar later.
        entry_due = bar + max(1, entry.strategy.latency_bars) * step
        if self.now >= entry_due:
            raise Refused(f"late: the quote of {entry_due:%Y-%m-%d %H:%M} UTC that would fill it has passed")
        if not len(hours.expected_bars(entry_due - step, entry_due, minutes)):
            raise Refused(f"the market closes before {entry_due:%Y-%m-%d %H:%M} UTC, when an order would be filled")
        if entry.label.horizon_minutes is not None:
            exit_due = entry_due + timedelta(minutes=entry.label.horizon_minutes)
            if not len(hours.expected_bars(exit_due - step, exit_due, minutes)):
                raise Refused(f"the market closes before {exit_due:%Y-%m-%d %H:%M} UTC, when the position would end")
            return Window(bar, entry_due, exit_due)
        ahead = hours.expected_bars(entry_due, entry_due + _REACH, minutes)
        return Window(bar, entry_due, ahead[entry.label.bars(minutes) - 1].to_pydatetime() + step)

    def _decide(self, model: str, symbol: str, window: Window) -> Decision:
        """Raises NoForecast."""
        entry = self.configuration.models.models[model]
        forecast = self.ask(model, symbol, window.bar)
        side = self._side(entry, symbol, window.bar, forecast)
        position = positions(
            entry.label.kind,
            np.array([forecast.prediction]),
            entry.strategy.threshold,
            side=None if side is None else np.array([side]),
        )
        return Decision(
            model=model,
            instrument=symbol,
            bar=window.bar,
            at=self.now,
            version=forecast.version,
            source=forecast.source,
            prediction=forecast.prediction,
            threshold=entry.strategy.threshold,
            position=float(position[0]),
            entry_due=window.entry_due,
            exit_due=window.exit_due,
            bar_minutes=self.configuration.instruments.instruments[symbol].minutes,
            side=side,
            prediction_id=forecast.prediction_id,
            swap_per_day=entry.strategy.swaps([symbol])[symbol],
        )

    def _side(self, entry: Model, symbol: str, bar: datetime, forecast: Forecast) -> float | None:
        """Which way a model trades that does not say: the last move's, as in its study. None where it says itself."""
        if entry.label.kind != "large_move":
            return None
        if forecast.move is not None:
            return float(np.sign(forecast.move))
        return float(np.sign(last_move(self.lake, symbol, bar, self.configuration.all_week)))


def patiently(
    make: Callable[[], Trader],
    ledger: Ledger,
    run: Run,
    patience_s: float,
    pause: Callable[[float], None] = time.sleep,
) -> Done:
    """A run that looks again while a forecast could still come in time: a run that begins a little before the features
    are there would otherwise be late by the time to the next one. make: a trader of this moment.
    """
    done, waited = make().run(ledger, run), 0.0
    while done.early and waited < patience_s:
        pause(PAUSE_S)
        waited += PAUSE_S
        again = make().run(ledger, run)
        again.fills, again.decided = [*done.fills, *again.fills], [*done.decided, *again.decided]
        done = again
    return done


def books(configuration: Configuration, settings: Trading, mode: str) -> Iterator[tuple[str, str]]:
    """Every model and instrument that is traded."""
    known = configuration.models.models
    wanted = settings.models or [name for name, entry in known.items() if entry.deploy]
    core = settings.core_instruments or tuple(configuration.instruments.instruments)[:CORE]
    for model in wanted:
        if model in known:
            for symbol in configuration.model_instruments(model):
                if mode == "full" or symbol in core:
                    yield model, symbol

"""What the account says about instruments and prices: the nested parts of OANDA's answers."""

from __future__ import annotations

from typing import Any

from fx_assets.practice.history import History
from fx_assets.practice.market import Tick
from fx_assets.practice.render import decimal, time_text

_LIQUIDITY = 10_000_000
_CLOSEOUT_POINTS = 8  # further from the middle than the best price
_UNITS = {"long": "77263", "short": "77263"}
_NONE = {"long": "0", "short": "0"}


def instrument(history: History) -> dict[str, Any]:
    """The entry of an instrument in the account's list."""
    precision = history.precision
    pip = 1 - precision

    def price(value: float) -> str:
        return f"{value:.{precision}f}"

    return {
        "name": history.symbol,
        "type": "METAL" if history.symbol[:3] in ("XAU", "XAG") else "CURRENCY",
        "displayName": history.symbol.replace("_", "/"),
        "pipLocation": pip,
        "displayPrecision": precision,
        "tradeUnitsPrecision": 0,
        "minimumTradeSize": "1",
        "maximumTrailingStopDistance": price(10.0 ** (pip + 4)),
        "minimumTrailingStopDistance": price(5 * 10.0**pip),
        "maximumPositionSize": "0",
        "maximumOrderUnits": "100000000",
        "marginRate": "1",
        "tags": [{"type": "ASSET_CLASS", "name": "CURRENCY"}],
    }


def stream_price(history: History, tick: Tick, unix: bool) -> dict[str, Any]:
    """A PRICE line of the stream."""
    precision = history.precision

    def bucket(points: int) -> list[dict[str, Any]]:
        return [{"price": decimal(points, precision), "liquidity": _LIQUIDITY}]

    return {
        "type": "PRICE",
        "time": time_text(tick.at, unix),
        "bids": bucket(tick.bid),
        "asks": bucket(tick.ask),
        "closeoutBid": decimal(max(tick.bid - _CLOSEOUT_POINTS, 1), precision),
        "closeoutAsk": decimal(tick.ask + _CLOSEOUT_POINTS, precision),
        "status": "tradeable" if tick.tradeable else "non-tradeable",
        "tradeable": tick.tradeable,
        "instrument": history.symbol,
    }


def account_price(history: History, tick: Tick, unix: bool) -> dict[str, Any]:
    """A price of the pricing answer: as in the stream, with what the account could trade."""
    return stream_price(history, tick, unix) | {
        "unitsAvailable": {"default": _UNITS, "openOnly": _UNITS, "reduceFirst": _UNITS, "reduceOnly": _NONE},
        "quoteHomeConversionFactors": {"positiveUnits": "1.00000000", "negativeUnits": "1.00000000"},
    }

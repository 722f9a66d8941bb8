"""Why a candle is kept out of silver/candles, as codes, and which asset check counts them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """A code of silver/quarantine, the asset check that counts it, and what it means."""

    code: str
    check: str
    meaning: str


REASONS = (
    Reason(
        "impossible_price",
        "possible_prices",
        "a price is missing or not positive, or open or close lie outside low and high",
    ),
    Reason("negative_volume", "volume", "the volume is below zero"),
    Reason("negative_spread", "spread", "the ask is below the bid, or one of them is not positive"),
    Reason("wide_spread", "spread", "the spread is absurd beside the instrument's typical one"),
    Reason("conflicting", "duplicates", "one fetch holds several candles of this time that differ"),
    Reason("off_grid", "monotone_time", "the time is not a bar's open"),
    Reason("closed_market", "market_hours", "the market was closed"),
    Reason("stale", "stale_prices", "one of many bars in a row without any movement"),
    Reason("spike", "spikes", "left the price of the bars around it, returned, and no related instrument moved"),
    Reason("cross_rate", "cross_rate", "does not fit the other two instruments of a currency triangle"),
    Reason("feed_clock", "feed_clock", "the whole session runs at another hour than the related instruments"),
    Reason("source_over_limit", "source_limits", "the source had too many bad candles in this session"),
)
CODES = tuple(reason.code for reason in REASONS)
BIT = {code: 1 << number for number, code in enumerate(CODES)}
OF_CHECK: dict[str, tuple[str, ...]] = {
    check: tuple(r.code for r in REASONS if r.check == check) for check in dict.fromkeys(r.check for r in REASONS)
}

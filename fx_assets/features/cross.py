"""One instrument against the others: currency strength, its basket, who leads whom, and cross rates.

The return of another instrument on a row of this one is ln(close(t) / close(t before)), t and t before being the times
of this one's bar and of its bar before; where the other lacks either bar it is absent there. So a value depends on
bars at the times of the instrument's own window only, whatever gaps the others have.

Others lend when both their currencies are in CURRENCIES: gold, crypto and indices are measured against currencies, but
are not part of any currency's strength. The basket of an instrument are the others that share a currency with it, each
signed so that the shared currency is on the same side. Cross rates take any two others that make the same cross. The
instrument itself is never among the others. Where too few others are present the value is neutral, as stated.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np

from fx_assets.features.blocks import Block
from fx_assets.features.spec import FeatureSpec, declare

# By ISO 4217, and the offshore renminbi.
_CODES = """
AED ARS AUD BGN BRL CAD CHF CLP CNH CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW KWD
MAD MXN MYR NGN NOK NZD OMR PEN PHP PKR PLN QAR RON RUB SAR SEK SGD THB TND TRY TWD UAH USD VND ZAR
"""
CURRENCIES = frozenset(_CODES.split())
# What is priced in currencies under a name of three letters.
_GOODS = frozenset(("XAU", "XAG", "XPT", "XPD", "BTC", "ETH"))
BARS = (1, 6, 24, 120)
_STRENGTH = "own; mean signed return of a currency's pairs"


def _spec(name: str, window: int, unit: str, requires: str, source: str, description: str) -> FeatureSpec:
    return declare("cross", name, window, unit, f"close {requires}", source, description)


def _strength(name: str, what: str) -> tuple[FeatureSpec, ...]:
    spans = {k: f"summed over {k} bars" if k > 1 else "in this bar" for k in BARS}
    return tuple(
        _spec(f"{name}_{k}", k + 1, "log price", "others", _STRENGTH, f"{what}, {span}; 0 if there is none")
        for k, span in spans.items()
    )


SPECS: tuple[FeatureSpec, ...] = (
    *_strength("base_strength", "Mean rise of the base currency in the other pairs that hold it"),
    *_strength("quote_strength", "Mean rise of the quote currency in the other pairs that hold it"),
    *_strength("strength_difference", "The base currency's rise less the quote currency's"),
    _spec("basket_correlation_120", 121, "-1..1", "others", "Pearson (1895)", "Own return and basket's; 0 if unknown"),
    _spec(
        "basket_beta_120", 121, "ratio", "others", "Sharpe (1963)", "Own return on the basket's, within 10; 0 unknown"
    ),
    _spec("basket_residual", 121, "log price", "others", "Sharpe (1963)", "Own return less beta times the basket's"),
    _spec(
        "basket_residual_24", 121, "log price", "others", "Sharpe (1963)", "The same of the 24-bar returns, beta of 120"
    ),
    _spec(
        "basket_lead_120",
        122,
        "-1..1",
        "others",
        "Lo and MacKinlay (1990)",
        "Correlation of own return with the basket's one bar earlier; 0 if unknown",
    ),
    _spec(
        "basket_dispersion_24",
        25,
        "deviation",
        "others",
        "definition",
        "Deviation of returns in the basket, mean of 24",
    ),
    _spec(
        "volatility_to_basket_120",
        121,
        "ratio",
        "others",
        "definition",
        "Root mean squared own return over the others', at most 10; 1 if unknown",
    ),
    _spec(
        "cross_rate_residual",
        1,
        "log price",
        "triangle",
        "definition",
        "Log close less that of two others' cross, mean of all such; 0 if none",
    ),
    _spec(
        "cross_rate_zscore_120",
        120,
        "deviations",
        "triangle",
        "definition",
        "cross_rate_residual against its last 120 bars, within 10; 0 if unknown",
    ),
)


def currencies(symbol: str) -> tuple[str, str] | None:
    """Base and quote of EUR_USD, EUR/USD, EURUSD, XAUUSD or SPX500_USD; None for a name that is no pair."""
    parts = re.split(r"[_/-]", symbol.upper())
    base, quote = symbol.upper()[:3], symbol.upper()[3:]
    if base in CURRENCIES | _GOODS and quote in CURRENCIES:
        return base, quote
    return (parts[0], parts[1]) if len(parts) == 2 and parts[0] and parts[1] else None


def provides(instruments: Iterable[str], of: str | None = None) -> set[str]:
    """What bars of these instruments allow for one of them, `of`, or for any: a subset of {"others", "triangle"}."""
    names = sorted({*instruments} | ({of} if of is not None else set()))
    asked = names if of is None else [of]
    others = any(len(_lenders(names, name)[0]) for name in asked)
    triangle = any(len(_crosses(names, name)[0]) for name in asked)
    return ({"others"} if others else set()) | ({"triangle"} if triangle else set())


def compute(blocks: Mapping[str, Block], bar_us: Mapping[str, int] | int = 0) -> dict[str, dict[str, np.ndarray]]:
    """The cross features of every instrument, each float64 (n,), by instrument and name.

    blocks: by instrument, in any order. bar_us: length of each one's bars; instruments whose bars differ in length do
    not see each other, because a longer bar that opens at the same time is known later. A number: all are equal.
    """
    lengths = dict.fromkeys(blocks, bar_us) if isinstance(bar_us, int) else {name: bar_us[name] for name in blocks}
    found: dict[str, dict[str, np.ndarray]] = {}
    for length in sorted(set(lengths.values())):
        found |= _together({name: blocks[name] for name in sorted(blocks) if lengths[name] == length})
    return {name: found[name] for name in blocks}


def _together(blocks: Mapping[str, Block]) -> dict[str, dict[str, np.ndarray]]:
    from fx_assets.features.kernels.cross import cross_rows, place

    names = list(blocks)
    grid = _all_times([block.time_us for block in blocks.values()])
    places = {name: place(grid, np.ascontiguousarray(block.time_us)) for name, block in blocks.items()}
    logs = np.full((len(names), len(grid)), np.nan)
    for row, (name, block) in enumerate(blocks.items()):
        logs[row, places[name]] = np.log(block.close)
    found = {}
    for own, name in enumerate(names):
        columns = np.empty((len(SPECS), len(places[name])))
        cross_rows(logs, places[name], own, *_lenders(names, name), *_crosses(names, name), columns)
        for spec, column in zip(SPECS, columns, strict=True):
            column[: spec.warmup] = np.nan
        found[name] = {spec.name: column for spec, column in zip(SPECS, columns, strict=True)}
    return found


def _all_times(times: list[np.ndarray]) -> np.ndarray:
    """The times of all instruments, each once, rising."""
    if all(len(other) == len(times[0]) and np.array_equal(other, times[0]) for other in times[1:]):
        return np.ascontiguousarray(times[0])
    merged = np.concatenate(times)
    merged.sort(kind="stable")  # sorted runs are merged, which is quicker than sorting anew
    return merged[np.concatenate([[True], merged[1:] != merged[:-1]])]


def _side(currency: str, pair: tuple[str, str]) -> float:
    """+1 where the currency is the pair's base, -1 where it is its quote, else 0."""
    return 1.0 if currency == pair[0] else -1.0 if currency == pair[1] else 0.0


def _lenders(names: list[str], name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The others with a currency of this one, by position, and on which side its base and its quote are there."""
    own = currencies(name)
    rows = []
    if own is not None:
        for at, other in enumerate(names):
            pair = currencies(other)
            if other != name and pair is not None and set(pair) <= CURRENCIES and set(pair) & set(own):
                rows.append((at, _side(own[0], pair), _side(own[1], pair)))
    at, on_base, on_quote = zip(*rows, strict=True) if rows else ((), (), ())
    return np.array(at, np.int64), np.array(on_base, float), np.array(on_quote, float)


def _crosses(names: list[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Every two others whose log closes, times their signs, add up to this one's: positions and signs, both (m, 2)."""
    own = currencies(name)
    members, signs = [], []
    pairs = [(at, pair) for at, other in enumerate(names) if other != name and (pair := currencies(other))]
    if own is not None:
        for at, left in pairs:
            # From the own base to some third currency, and from there to the own quote.
            if not _side(own[0], left) or own[1] in left:
                continue
            third = left[1] if left[0] == own[0] else left[0]
            for along, right in pairs:
                if set(right) == {third, own[1]}:
                    members.append((at, along))
                    signs.append((_side(own[0], left), _side(third, right)))
    return np.array(members, np.int64).reshape(-1, 2), np.array(signs, float).reshape(-1, 2)

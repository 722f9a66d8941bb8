"""Which instruments come by a pricing stream. Light: `fx up` asks before it starts anything."""

from __future__ import annotations

from fx_assets.configuration import Configuration


def is_live(configuration: Configuration) -> bool:
    """Whether sessions follow the market, and the running one is to be made by itself."""
    return configuration.data.live.enabled and configuration.instruments.sessions.end is None


def streamed(configuration: Configuration) -> dict[str, dict[str, str]]:
    """Source name -> the source's own symbol -> instrument, for OANDA sources with `stream: true`.

    Only instruments whose first source it is: the bars of another one's substitute would pass for the newest fetch.
    Empty where nothing is live.
    """
    found: dict[str, dict[str, str]] = {}
    if not is_live(configuration):
        return found
    file = configuration.instruments
    for symbol, instrument in file.instruments.items():
        name = instrument.sources[0]
        options = file.source(name)
        if options.kind == "oanda" and options.stream:
            found.setdefault(name, {})[instrument.symbols.get(name, symbol)] = symbol
    return found

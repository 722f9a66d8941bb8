"""What instruments.yaml may say about a source: one class for each kind. No source is imported here.

Secrets are not among it: an option names the environment variable that holds one.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

EnvName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class _Options(BaseModel):
    """Of every kind. max_bad_share: of its rows; above it nothing is built on what the source answered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    candles: ClassVar[bool] = False
    news: ClassVar[bool] = False

    max_bad_share: float = Field(default=0.01, ge=0, le=1)


class _Network(_Options):
    """Of every kind that is asked over a network. timeout_s bounds one answer from its first to its last byte."""

    timeout_s: float = Field(default=8.0, gt=0, le=120)
    retries: int = Field(default=3, ge=0, le=10)


class Sample(_Options):
    """The sample that ships with the project."""

    candles: ClassVar[bool] = True
    news: ClassVar[bool] = True
    kind: Literal["sample"] = "sample"


class Imported(_Options):
    """What `fx import` has put into bronze."""

    candles: ClassVar[bool] = True
    kind: Literal["import"] = "import"


class Oanda(_Network):
    """OANDA v20. url and stream_url replace the hosts of `environment` (a local server, a proxy)."""

    candles: ClassVar[bool] = True
    kind: Literal["oanda"] = "oanda"
    environment: Literal["practice", "live"] = "practice"
    url: str | None = None
    stream_url: str | None = None
    stream: bool = False
    token_env: EnvName = "OANDA_TOKEN"
    account_env: EnvName = "OANDA_ACCOUNT"
    requests_per_s: float = Field(default=120, gt=0, le=120)
    connections_per_s: float = Field(default=2, gt=0, le=2)


class Binance(_Network):
    """Binance spot klines, through ccxt (extra: binance)."""

    candles: ClassVar[bool] = True
    kind: Literal["binance"] = "binance"
    url: str | None = None


class InteractiveBrokers(_Network):
    """Historical bars of a running TWS or IB Gateway, through ib_async (extra: ib).

    requests_per_s: IB allows 60 historical requests in ten minutes, and three are needed for a page of candles.
    """

    candles: ClassVar[bool] = True
    kind: Literal["ib"] = "ib"
    host: str = "127.0.0.1"
    port: int = Field(default=4002, ge=1, le=65535)
    client_id: int = Field(default=17, ge=0)
    requests_per_s: float = Field(default=0.1, gt=0, le=50)


class Yahoo(_Network):
    """Yahoo Finance, through yfinance (extra: yahoo)."""

    candles: ClassVar[bool] = True
    kind: Literal["yfinance"] = "yfinance"
    url: str | None = None


class AlphaVantage(_Network):
    """Alpha Vantage candles and news; used where its key is set. requests_per_s: what the plan allows."""

    candles: ClassVar[bool] = True
    news: ClassVar[bool] = True
    kind: Literal["alpha_vantage"] = "alpha_vantage"
    url: str = "https://www.alphavantage.co"
    key_env: EnvName = "ALPHAVANTAGE_API_KEY"
    requests_per_s: float = Field(default=1, gt=0, le=50)


class Finnhub(_Network):
    """Finnhub candles and news; used where its key is set. requests_per_s: what the plan allows."""

    candles: ClassVar[bool] = True
    news: ClassVar[bool] = True
    kind: Literal["finnhub"] = "finnhub"
    url: str = "https://finnhub.io/api/v1"
    key_env: EnvName = "FINNHUB_API_KEY"
    requests_per_s: float = Field(default=1, gt=0, le=30)


class Files(_Network):
    """Candle or news files of a folder or an object store (any fsspec URL).

    path: a folder, a file, or a URL; {instrument} and {granularity} in it are replaced.
    """

    candles: ClassVar[bool] = True
    news: ClassVar[bool] = True
    kind: Literal["file"] = "file"
    path: str


class Synthetic(_Options):
    """A made-up market: regimes, volatility clustering, spread by hour, gaps, news shocks; the same for a seed."""

    candles: ClassVar[bool] = True
    news: ClassVar[bool] = True
    kind: Literal["synthetic"] = "synthetic"
    seed: int = 7


class Rss(_Network):
    """RSS and Atom feeds."""

    news: ClassVar[bool] = True
    kind: Literal["rss"] = "rss"
    feeds: tuple[str, ...] = Field(min_length=1)


SourceOptions = Annotated[
    Sample | Imported | Oanda | Binance | InteractiveBrokers | Yahoo | AlphaVantage | Finnhub | Files | Synthetic | Rss,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[_Options]] = {
    cls.model_fields["kind"].default: cls for cls in get_args(get_args(SourceOptions)[0])
}


def default_options(kind: str) -> SourceOptions:
    """A kind's options where the file says nothing. Raises KeyError for an unknown kind, ValidationError for one
    that cannot do without.
    """
    return KINDS[kind]()  # pyright: ignore[reportReturnType]

"""The server's routes, its errors and its token: an ASGI application."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fx_assets.practice.instruments import account_price, instrument
from fx_assets.practice.market import Market
from fx_assets.practice.query import BadRequest, invalid, read_candles_query
from fx_assets.practice.render import render_candles, time_text
from fx_assets.practice.stream import price_lines
from fx_assets.practice.traffic import Traffic

_JSON = {"content-type": "application/json"}
_RETRY_AFTER = {"retry-after": "1"}


@dataclass
class PracticeServer:
    """An ASGI application that answers for one account.

    clock: the replay's time, seconds since 1970. ending: whether the process is about to end, so that streams must.
    """

    market: Market
    clock: Callable[[], float]
    account: str
    token: str
    traffic: Traffic
    ending: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        below = "/v3/accounts/{account}"
        routes = {
            "/v3/accounts": self.accounts,
            f"{below}/instruments": self.instruments,
            f"{below}/pricing": self.pricing,
            f"{below}/pricing/stream": self.stream,
            f"{below}/instruments/{{instrument}}/candles": self.candles,
            "/v3/instruments/{instrument}/candles": self.candles,
        }
        errors = {404: _not_found, 405: _not_found}
        app = Starlette(
            routes=[Route(path, _answering(handler), methods=["GET"]) for path, handler in routes.items()],
            exception_handlers=errors,  # type: ignore[arg-type]
        )
        self._app: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Limit and token before anything else, as OANDA does it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = None
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not self.traffic.allows(scope.get("client")):
            refusal = _error(429, "The request limit has been exceeded", _RETRY_AFTER)
        elif not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            refusal = _error(401, "Insufficient authorization to perform request.")
        await (refusal or self._app)(scope, receive, send)

    async def accounts(self, request: Request) -> Response:
        return _json({"accounts": [{"id": self.account, "tags": []}]})

    async def instruments(self, request: Request) -> Response:
        self._check_account(request)
        wanted = self._symbols(request, required=False)
        entries = [instrument(self.market.histories[symbol]) for symbol in wanted]
        return _json({"instruments": entries, "lastTransactionID": "1"})

    async def candles(self, request: Request) -> Response:
        if "account" in request.path_params:
            self._check_account(request)
        symbol = request.path_params["instrument"]
        if symbol not in self.market.histories:
            raise invalid("instrument")
        now = self.clock()
        wanted, price = read_candles_query(request.query_params, now)
        found = self.market.candles(symbol, wanted, now)
        precision = self.market.histories[symbol].precision
        body = render_candles(symbol, wanted.granularity, found, price, precision, _unix(request))
        return Response(body, headers=_JSON)

    async def pricing(self, request: Request) -> Response:
        self._check_account(request)
        now, unix = self.clock(), _unix(request)
        prices = []
        for symbol in self._symbols(request):
            if (tick := self.market.price(symbol, now)) is not None:
                prices.append(account_price(self.market.histories[symbol], tick, unix))
        return _json({"time": time_text(int(now * 1000), unix), "prices": prices})

    async def stream(self, request: Request) -> Response:
        self._check_account(request)
        symbols, unix = self._symbols(request), _unix(request)
        snapshot = request.query_params.get("snapshot", "true").lower() != "false"
        lines = price_lines(self.market, symbols, self.clock, unix, snapshot, self.ending)
        return StreamingResponse(lines, headers={"content-type": "application/octet-stream"})

    def _check_account(self, request: Request) -> None:
        if request.path_params["account"] != self.account:
            raise BadRequest(403, "The provided request was forbidden.")

    def _symbols(self, request: Request, required: bool = True) -> Sequence[str]:
        text = request.query_params.get("instruments", "")
        if not text:
            if required:
                raise BadRequest(400, "The request was missing required data")
            return list(self.market.histories)
        symbols = text.split(",")
        if any(symbol not in self.market.histories for symbol in symbols):
            raise invalid("instruments")
        return list(dict.fromkeys(symbols))


def _answering(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except BadRequest as problem:
            return _error(problem.status, problem.message)

    return answer


def _unix(request: Request) -> bool:
    return request.headers.get("accept-datetime-format", "RFC3339").upper() == "UNIX"


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), headers=_JSON)


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode({"errorMessage": message}), status, headers=_JSON | (headers or {}))


async def _not_found(request: Request, error: Exception) -> Response:
    return _error(404, "The requested resource was not found")

"""Whose request it is: the caller behind an Authorization header, from the tokens in force."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from typing import NamedTuple

from fx_serving.access import tokens
from fx_serving.access.internal import read_internal_key
from fx_serving.access.rate import Rates
from fx_serving.client.home import Stores
from fx_serving.config import ServingConfig
from fx_serving.ports import is_loopback
from fx_serving.state.rows import TokenRow

log = logging.getLogger("fx_serving.access")

_POLL_S = 1.0
_LONGEST = 4096  # bytes of a header worth hashing
_NOBODY = "0" * 64  # compared with where there is nothing to compare with: the work is the same
_SCHEME = b"Bearer "


class Caller(NamedTuple):
    """Who asks. role: None for somebody unknown on a route that is open to all. rate_per_s: the token's own."""

    name: str
    role: str | None
    rate_per_s: float | None = None


LOCAL = Caller("local", "operate")
ANONYMOUS = Caller("anonymous", None)
_CONTROLLER = Caller("controller", "operate", 0.0)
_ENVIRONMENT = Caller("environment", "operate")


class Guard:
    """Knows the tokens of one home, and reads them again each second.

    Open (anyone is the local operator) only where the service listens on loopback and no token was ever made: ending
    the last one does not open it again.
    """

    def __init__(self, stores: Stores, config: ServingConfig) -> None:
        self.config = config
        self._path = stores.tokens
        self._loopback = is_loopback(config.host)
        # Digests, not secrets, stay in memory.
        key = read_internal_key(stores.internal_key)
        given = os.environ.get("FX_SERVING_TOKEN", "").encode()
        self._internal = tokens.digest(key.encode()) if key else _NOBODY
        self._environment = tokens.digest(given) if given else _NOBODY
        self._tokens: dict[str, TokenRow] = {}
        self._stamp: tuple[int, int] | None = None
        self._damaged = False
        self.rates = Rates(config.access.rate_per_s, config.access.rate_burst, 1 / config.workers)
        self.poll()

    @property
    def open(self) -> bool:
        """Whether no token is needed at all."""
        return self._loopback and not self._tokens and not self._damaged and self._environment == _NOBODY

    def identify(self, authorization: bytes | None) -> Caller | None:
        """The caller; None where the header is missing or wrong. Every header costs the same comparisons."""
        if authorization is None:
            return LOCAL if self.open else None
        scheme, given = authorization[: len(_SCHEME)], authorization[len(_SCHEME) : _LONGEST]
        found = tokens.digest(given)
        row = self._tokens.get(tokens.id_of(given.decode("latin-1")) or "")
        known = hmac.compare_digest(found, row.hash if row is not None and row.revoked_at is None else _NOBODY)
        internal = hmac.compare_digest(found, self._internal)
        environment = hmac.compare_digest(found, self._environment)
        if scheme.lower() == b"bearer ":
            if known and row is not None:
                return Caller(row.name, row.role, row.rate_per_s)
            if internal:
                return _CONTROLLER
            if environment:
                return _ENVIRONMENT
        return LOCAL if self.open else None

    def poll(self) -> None:
        """Take over what `fx token` changed. A file that cannot be read changes nothing, and opens nothing."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp == self._stamp:
                return
            rows = tokens.read(self._path)
            self._stamp = stamp
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            if not self._damaged:
                log.error(
                    "%s: cannot be read (%s); tokens stay as they were. Write it anew: fx token list", self._path, error
                )
            self._damaged = True
            return
        self._damaged = False
        self._tokens = {row.id: row for row in rows}
        self.rates.keep({row.name for row in rows if row.revoked_at is None})

    async def run(self) -> None:
        """Poll for ever."""
        while True:
            await asyncio.sleep(_POLL_S)
            await asyncio.to_thread(self.poll)

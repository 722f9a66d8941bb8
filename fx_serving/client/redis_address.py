"""A Redis client of an address, or a plain refusal: an address may hold a password, so nothing of it is repeated."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

HANDSHAKE_S = 3.0
TLS_SILENCE = "no answer to the TLS handshake"


def make_client(kind: Any, address: str, **options: Any) -> Any:
    """kind.from_url(address, **options), checked; nothing is sent yet. kind: redis.Redis, redis.asyncio.Redis.

    Raises ValueError, without a word, for what is no address of a Redis: another scheme, no host, a password with
    unescaped characters, an unknown option.
    """
    try:
        _check(address)
        client = kind.from_url(address, **options)
        pool = client.connection_pool
        if address.startswith("rediss://") and "asyncio" not in kind.__module__:
            pool.connection_class = _hasty(pool.connection_class)
        pool.connection_class(**pool.connection_kwargs)  # connects to nothing; an unknown option is found here
    except (ValueError, TypeError, AttributeError):
        raise ValueError from None
    return client


def _check(address: str) -> None:
    """What the library would take for something else: of redis://:a/b@host it makes localhost."""
    parts = urlsplit(address)
    if parts.scheme == "unix":
        if not parts.path:
            raise ValueError
        return
    _ = parts.port  # raises ValueError for what is no number
    rest = f"{parts.path}?{parts.query}"
    if not parts.hostname or parts.fragment or "@" in rest or not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError


def _hasty(kind: Any) -> Any:
    """A TLS connection class that does not try again with, or wait long for, a server that speaks no TLS."""
    from redis.exceptions import RedisError

    class Tls(kind):
        def _wrap_socket_with_ssl(self, sock: Any) -> Any:
            sock.settimeout(HANDSHAKE_S)
            try:
                made = super()._wrap_socket_with_ssl(sock)
            except TimeoutError:
                raise RedisError(TLS_SILENCE) from None
            made.settimeout(self.socket_timeout)
            return made

    return Tls

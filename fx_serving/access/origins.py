"""From which pages and under which names the service may be asked: what keeps a web page from using the open loopback.

A page in the operator's browser can send requests to 127.0.0.1, and by a name that resolves there even as its own
origin. So an Origin must be ours or listed, and where no token is needed the Host must be a name of this machine.
"""

from __future__ import annotations

from fx_serving.config import ServingConfig
from fx_serving.ports import is_loopback

Header = tuple[bytes, bytes]


def hostname(host: str) -> str:
    """The name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


class Origins:
    """The names and origins of one configuration."""

    def __init__(self, config: ServingConfig) -> None:
        access = config.access
        self._listed = frozenset(origin.rstrip("/").lower().encode() for origin in access.cors_origins)
        self._hosts = frozenset({*map(hostname, access.allowed_hosts), config.host.lower()})
        self._restricted = bool(access.allowed_hosts)
        self._seen: dict[bytes, bool] = {}
        self.preflight: tuple[Header, ...] = (
            (b"access-control-allow-methods", b"GET, POST, PUT"),
            (b"access-control-allow-headers", b"authorization, content-type, x-fx-deadline-ms"),
            (b"access-control-max-age", b"600"),
        )

    def known(self, host: bytes | None, open_to_all: bool) -> bool:
        """Whether the service may be asked under this name. Where tokens are needed any name will do, unless some are
        listed: a page that does not know a token learns nothing. Without a Host (HTTP/1.0) no browser asked.
        """
        if host is None or not (open_to_all or self._restricted):
            return True
        found = self._seen.get(host)
        if found is None:
            name = hostname(host.decode("latin-1"))
            found = is_loopback(name) or name in self._hosts
            if len(self._seen) < 256:
                self._seen[host] = found
        return found

    def may(self, origin: bytes, host: bytes | None) -> bool:
        """Whether a page of this origin may ask."""
        origin = origin.lower()
        own = host is not None and origin.partition(b"://")[2] == host.lower() and origin.startswith(b"http")
        return own or origin in self._listed

    def shared(self, origin: bytes) -> tuple[Header, ...]:
        """The headers by which a browser shows the answer to a page of a listed origin."""
        if origin.lower() not in self._listed:
            return ()
        return (
            (b"access-control-allow-origin", origin),
            (b"access-control-expose-headers", b"retry-after"),
            (b"vary", b"origin"),
        )

    def foreign(self, origin: bytes) -> str:
        """Why an origin is refused."""
        return f"Origin: {_shown(origin)} is not this service's own and not listed in access.cors_origins."

    def unknown(self, host: bytes | None) -> str:
        """Why a name is refused."""
        return f"Host: {_shown(host or b'')} is not a name of this service. List it in access.allowed_hosts."


def _shown(value: bytes) -> str:
    return repr(value[:100].decode("latin-1"))

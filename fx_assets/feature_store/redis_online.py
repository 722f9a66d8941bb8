"""The guarded Redis online store: Feast's hashes, each row written by a script that looks before it replaces.

Feast's own writer reads the stored times and writes afterwards, so that of two writers the older may win; a script
runs alone in the server. The connection string comes from FX_REDIS_URL and is shown nowhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fx_assets.errors import ConfigError, StoreError
from fx_assets.feature_store.encoding import MICROSECONDS, PROJECT, Batch, Stored, entity_key, micros, timestamp
from fx_serving.client.redis_address import make_client
from fx_serving.client.redis_blobs import in_words, refused

if TYPE_CHECKING:
    from redis import Redis

VARIABLE = "FX_REDIS_URL"
EXAMPLE = "redis://user:password@host:6379/0, or rediss:// for TLS"
CONNECT_S, ANSWER_S = 3.0, 10.0
AT_ONCE = 200  # rows in one round trip

# KEYS[1]: the entity's hash. ARGV: field of the view's time; seconds; nanoseconds; the time as stored; field of the
# list of fields, four bytes each, that the stored row has; then pairs of field and value.
# The stored time is a protobuf Timestamp: varints of seconds (tag 8) and nanoseconds (tag 16).
GUARD = """
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored then
  local found, at = {[8] = 0, [16] = 0}, 1
  while at <= #stored do
    local tag, value, scale = string.byte(stored, at), 0, 1
    repeat
      at = at + 1
      local byte = string.byte(stored, at)
      value = value + (byte % 128) * scale
      scale = scale * 128
    until byte < 128
    found[tag] = value
    at = at + 1
  end
  local seconds, nanos = tonumber(ARGV[2]), tonumber(ARGV[3])
  if found[8] > seconds or (found[8] == seconds and found[16] > nanos) then return 0 end
end
local names, kept = {}, {}
for at = 6, #ARGV, 2 do
  names[#names + 1] = ARGV[at]
  kept[ARGV[at]] = true
end
local before = redis.call('HGET', KEYS[1], ARGV[5]) or ''
for at = 1, #before, 4 do
  local name = string.sub(before, at, at + 3)
  if not kept[name] then redis.call('HDEL', KEYS[1], name) end
end
for first = 6, #ARGV, 2000 do
  redis.call('HSET', KEYS[1], unpack(ARGV, first, math.min(first + 1999, #ARGV)))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4], ARGV[5], table.concat(names))
return 1
"""


class RedisOnline:
    """The online store in the Redis of FX_REDIS_URL. Safe for several writers."""

    kind = "redis"

    def __init__(self, client: Redis | None = None):
        self._client = client

    @property
    def client(self) -> Any:
        """The connection, made when it is first needed."""
        if self._client is None:
            self._client = connect()
        return self._client

    @property
    def where(self) -> str:
        """Host, port and database, as people are told."""
        return place(self.client)

    def ping(self) -> None:
        """Raises StoreError unless Redis answers."""
        with told(self.client):
            self.client.ping()

    def write(self, view: str, batch: Batch) -> int:
        """Write the newest row of each key unless a newer one is stored; returns how many rows were written.

        A row replaces the stored one whole, and is written whole or not at all. Raises StoreError when Redis does not
        answer: what was written before stays, and writing all of it again is right.
        """
        newest = batch.newest()
        fields, clock, listed = [field(view, name) for name in newest.names], time_field(view), list_field(view)
        written = 0
        with told(self.client):
            self.client.ping()  # of a long first command, a Redis that wants a password says only that it is long
            guard = self.client.register_script(GUARD)
            for start in range(0, len(newest.keys), AT_ONCE):
                with self.client.pipeline(transaction=False) as pipe:
                    for n in range(start, min(start + AT_ONCE, len(newest.keys))):
                        seconds, rest = divmod(newest.times[n], MICROSECONDS)
                        stamp = timestamp(newest.times[n])
                        arguments: list[bytes | int] = [clock, seconds, rest * 1000, stamp, listed]
                        for pair in zip(fields, newest.values[n], strict=True):
                            arguments += pair
                        guard(keys=[newest.keys[n] + PROJECT.encode()], args=arguments, client=pipe)
                    written += sum(pipe.execute())
        return written

    def times(self, view: str, instruments: Sequence[str]) -> list[int | None]:
        """Event times of the stored rows, microseconds since 1970; None where nothing is stored."""
        with told(self.client), self.client.pipeline(transaction=False) as pipe:
            for symbol in instruments:
                pipe.hget(entity_key(symbol) + PROJECT.encode(), time_field(view))
            return [None if stamp is None else micros(stamp) for stamp in pipe.execute()]

    def read(self, view: str, keys: Sequence[bytes], names: Sequence[str]) -> list[Stored | None]:
        """(event time, Values by feature) of each key, of any age; None where nothing is stored."""
        fields = [*(field(view, name) for name in names), time_field(view)]
        with told(self.client), self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.hmget(key + PROJECT.encode(), fields)
            answers = pipe.execute()
        return [
            None
            if stamp is None
            else (micros(stamp), {name: v for name, v in zip(names, found, strict=True) if v is not None})
            for *found, stamp in answers
        ]


def connect(asynchronous: bool = False) -> Any:
    """A client of FX_REDIS_URL (redis.Redis, or redis.asyncio.Redis); nothing is sent yet.

    Raises ConfigError when the variable is missing, no Redis URL or one with an unknown option, or the package is
    not installed.
    """
    try:
        import redis
        from redis.asyncio import Redis as AsyncRedis
        from redis.asyncio.retry import Retry as AsyncRetry
        from redis.backoff import ExponentialBackoff
        from redis.retry import Retry
    except ModuleNotFoundError:
        raise ConfigError(
            "data.yaml: feature_store.online: redis needs the redis package: pip install 'fx-platform[redis]'."
        ) from None
    url = os.environ.get(VARIABLE, "").strip()
    if not url:
        raise ConfigError(f"{VARIABLE}: not set, and data.yaml says feature_store.online: redis. Set it to {EXAMPLE}.")
    kind, again = (AsyncRedis, AsyncRetry) if asynchronous else (redis.Redis, Retry)
    try:
        return make_client(
            kind,
            url,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=again(ExponentialBackoff(cap=1.0, base=0.1), 2),
        )
    except ValueError:
        raise ConfigError(
            f"{VARIABLE}: not a Redis URL, or one with an unknown option. Set it to {EXAMPLE}; escape special "
            "characters of the password (/ as %2F, @ as %40, # as %23)."
        ) from None


def place(client: Redis) -> str:
    """host:port/database of a client."""
    options = client.get_connection_kwargs()
    return options.get("path") or f"{options.get('host')}:{options.get('port')}/{options.get('db') or 0}"


@contextmanager
def told(client: Redis) -> Iterator[None]:
    """Redis errors as StoreErrors that say what to do, without the connection string."""
    from redis.exceptions import OutOfMemoryError, RedisError

    try:
        yield
    except (RedisError, OSError) as error:
        if refused(error):
            raise StoreError(
                f"online store redis {place(client)}: user or password refused. Mend them in {VARIABLE}."
            ) from None
        remedy = "Then" if isinstance(error, OutOfMemoryError) else f"Start Redis or mend {VARIABLE}, then"
        raise StoreError(
            f"online store redis {place(client)}: Redis {in_words(error)}. {remedy} materialize online_features "
            "again: nothing older replaces what is there, and published features stay served."
        ) from None


def field(view: str, feature: str) -> bytes:
    """Feast's name of a feature in an entity's hash."""
    import mmh3

    return mmh3.hash(f"{view}:{feature}", signed=False).to_bytes(4, "little")


def time_field(view: str) -> bytes:
    """Feast's name of a view's event time in an entity's hash."""
    return f"_ts:{view}".encode()


def list_field(view: str) -> bytes:
    """Our name, in an entity's hash, of the list of fields that a view's row has."""
    return f"_fields:{view}".encode()

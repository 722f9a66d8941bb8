"""Feature blobs in Redis, for several hosts. Needs the extra `redis`; the address is in FX_REDIS_URL.

Keys:
    fx:blob:<view>:<instrument>   hash: `newest` (row, in microseconds since 1970), `version` (mark), `json` (the blob)
    fx:blobs                      hash: <view>:<instrument> -> its mark, which is all that a poll has to read

The address may hold a password: it appears in no message, and errors of the library, which may quote it, are put
into words of our own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fx_serving.client.blob_store import BlobStoreError, Kind, Pair
from fx_serving.client.bundle import valid_name
from fx_serving.client.redis_address import TLS_SILENCE, make_client
from fx_serving.client.snapshot import REMEDY, BlobError, FeatureBlob

INDEX = "fx:blobs"
CONNECT_S, ANSWER_S = 0.5, 1.0
# Before each further attempt to publish. Publishing the same again changes nothing, so a lost answer does no harm.
_PAUSES_S = (0.1, 0.3, 0.9)
_MALFORMED = (
    "FX_REDIS_URL: is not the address of a Redis, or has an unknown option. "
    "Give redis://[user:password@]host:port/number, special characters of the password escaped (/ as %2F)."
)

# Compares and replaces in one step. A key that is no blob (another type, no content) counts as absent; the index is
# written even where the blob is refused, since it may have been lost.
_PUBLISH = """
for _, key in ipairs(KEYS) do
  if redis.call('TYPE', key).ok ~= 'hash' then redis.call('DEL', key) end
end
local held = tonumber(redis.call('HGET', KEYS[1], 'newest') or nil)
local version = redis.call('HGET', KEYS[1], 'version')
if held and version and redis.call('HEXISTS', KEYS[1], 'json') == 1 and tonumber(ARGV[2]) < held then
  redis.call('HSET', KEYS[2], ARGV[1], version)
  return 0
end
redis.call('HSET', KEYS[1], 'newest', ARGV[2], 'version', ARGV[3], 'json', ARGV[4])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
return 1
"""
_REMOVE = """
redis.call('DEL', KEYS[1])
if redis.call('TYPE', KEYS[2]).ok == 'hash' then redis.call('HDEL', KEYS[2], ARGV[1]) end
return 1
"""
T = TypeVar("T")


def blob_key(view: str, instrument: str) -> str:
    """The key of one blob."""
    for name in (view, instrument):
        if not valid_name(name):
            raise BlobError(f"{name!r} is not a valid feature view or instrument name.")
    return f"fx:blob:{view}:{instrument}"


class RedisBlobs:
    """Blobs in one Redis database. Connects when first used, and again after every failure."""

    kind: Kind = "redis"
    volatile = True

    def __init__(self, url: str) -> None:
        try:
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError:
            raise BlobStoreError(
                "feature_blobs: redis needs the redis package: pip install 'fx-platform[redis]'"
            ) from None
        try:
            self._client: Any = make_client(
                Redis,
                url,
                socket_connect_timeout=CONNECT_S,
                socket_timeout=ANSWER_S,
                # A worker must know at once; who waits and tries again does so here.
                retry=Retry(NoBackoff(), 0),
                client_name="fx-blobs",
            )
        except ValueError:
            raise BlobStoreError(_MALFORMED) from None

    @classmethod
    def from_environment(cls) -> RedisBlobs:
        """The Redis that FX_REDIS_URL names."""
        url = os.environ.get("FX_REDIS_URL", "").strip()
        if not url:
            raise BlobStoreError(
                "feature_blobs: redis needs the address in FX_REDIS_URL, such as redis://:password@host:6379/0. "
                "Set it, or set feature_blobs: folder in serving.yaml."
            )
        return cls(url)

    def publish(self, blob: FeatureBlob) -> bool:
        """See BlobStore. Tries for about a second more where Redis does not answer."""
        key, content = blob_key(blob.view, blob.instrument), blob.encode()
        newest = round(blob.newest.timestamp() * 1e6) if blob.newest is not None else -1
        field = f"{blob.view}:{blob.instrument}"
        for pause in (*_PAUSES_S, None):
            try:
                return self._ask(lambda c: c.eval(_PUBLISH, 2, key, INDEX, field, newest, blob.mark, content)) == 1
            except BlobStoreError:
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def scan(self) -> dict[Pair, object]:
        """One call; the mark is the blob's version."""
        listed = self._ask(lambda c: [(_text(k), _text(v)) for k, v in c.hgetall(INDEX).items()])
        marks: dict[Pair, object] = {}
        for field, version in listed:
            view, _, instrument = field.partition(":")
            if valid_name(view) and valid_name(instrument):
                marks[view, instrument] = version
        return marks

    def read(self, view: str, instrument: str) -> FeatureBlob:
        """See BlobStore."""
        key = blob_key(view, instrument)
        content = self._ask(lambda c: c.hget(key, "json"))
        if content is None:
            raise BlobError(f"{key}: no such feature blob. {REMEDY}")
        blob = FeatureBlob.decode(content, key)
        if (blob.view, blob.instrument) != (view, instrument):
            raise BlobError(f"{key}: holds {blob.view}/{blob.instrument}. {REMEDY}")
        return blob

    def remove(self, view: str, instrument: str) -> None:
        """See BlobStore. Readers that hold the blob keep it, as they keep whatever vanishes from a Redis."""
        key = blob_key(view, instrument)
        self._ask(lambda c: c.eval(_REMOVE, 2, key, INDEX, f"{view}:{instrument}"))

    def drop(self) -> None:
        """Closes the connections, those in use included, which ends a read on them."""
        self._client.connection_pool.disconnect(inuse_connections=True)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, call: Callable[[Any], T]) -> T:
        """The result of call(client). Whatever goes wrong is a BlobStoreError, and the connection is given up."""
        try:
            return call(self._client)
        except Exception as error:
            problem = in_words(error)
        self.drop()
        raise BlobStoreError(f"Redis {problem}")


def _text(content: bytes) -> str:
    return content.decode(errors="replace")


def refused(error: Exception) -> bool:
    """Whether Redis wants another user or password. Of a long command without any it says only how long it is."""
    from redis import exceptions

    text = str(error).lower()
    return isinstance(error, exceptions.AuthenticationError) or (
        isinstance(error, exceptions.ResponseError)
        and any(w in text for w in ("noauth", "wrongpass", "unauthenticated"))
    )


def in_words(error: Exception) -> str:
    """What went wrong, without anything the library or the server quoted."""
    from redis import exceptions

    if refused(error):
        return "refuses the user or password of FX_REDIS_URL"
    if isinstance(error, exceptions.OutOfMemoryError):
        return "is full: raise maxmemory"
    if isinstance(error, exceptions.BusyLoadingError):
        return "is loading its data"
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return "does not answer in time"
    if isinstance(error, exceptions.InvalidResponse):
        return "answers what no Redis answers"
    if isinstance(error, exceptions.ConnectionError | OSError):
        return "cannot be reached"
    if str(error) == TLS_SILENCE:
        return "does not speak TLS: write redis:// for rediss://, or give the port that does"
    if isinstance(error, exceptions.ResponseError):
        if "DB index" in str(error):
            return "has no database of that number"
        code = (str(error).split() or ["?"])[0]
        return f"answers with the error {code if code.isalpha() and len(code) < 20 else '?'}"
    return f"answers what no Redis answers ({type(error).__name__})"

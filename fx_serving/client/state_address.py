"""A connection to the PostgreSQL of an address (FX_STATE_URL, or another variable), or words: an address may hold a
password, so nothing of it is repeated."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

#: All tables of the service lie in this schema: the database may hold other programs' tables too.
SCHEMA = "fx_serving"
#: One process at a time makes or changes tables: CREATE IF NOT EXISTS alone is not safe against another.
LOCK = f"SELECT pg_advisory_xact_lock(hashtext('{SCHEMA}.schema'))"
_SCHEMES = ("postgresql+psycopg2://", "postgresql://", "postgres://")
_FORM = "postgresql+psycopg2://user:password@host:5432/database"
_CONNECT_S = 5
#: A statement, a lock or a silent network may hold nobody up for longer than a lease lasts.
_SESSION = (
    f"SET search_path TO {SCHEMA}; SET synchronous_commit TO on; SET lock_timeout TO '5s'; "
    "SET statement_timeout TO '%d'; SET idle_in_transaction_session_timeout TO '%s'; SET TimeZone TO 'UTC'"
)


class StateAddressError(Exception):
    """The database of an address cannot be used; the words hold nothing of the address."""


def require_postgres(address: str, variable: str) -> str:
    """The address as SQLAlchemy takes it. Raises StateAddressError where it is none of a PostgreSQL."""
    if not address.startswith(_SCHEMES) or not _whole(address):
        raise StateAddressError(f"{variable}: is no address of a PostgreSQL; give {_FORM}, or unset it for SQLite")
    return "postgresql+psycopg2://" + address.partition("://")[2]


def connect(address: str, *, readonly: bool = False, statement_s: float = 30, variable: str = "FX_STATE_URL") -> Any:
    """A psycopg2 connection in autocommit mode, its search path set. Raises StateAddressError, naming the variable."""
    require_postgres(address, variable)
    try:
        import psycopg2
    except ImportError:
        raise StateAddressError(
            f"{variable}: names a PostgreSQL, but psycopg2 is not installed; pip install 'fx-platform[postgres]'"
        ) from None
    try:
        connection = psycopg2.connect(
            address.replace("postgresql+psycopg2://", "postgresql://", 1),
            connect_timeout=_CONNECT_S,
            application_name="fx-serving",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        connection.set_session(autocommit=True, readonly=readonly)
        with connection.cursor() as cursor:
            # A reader holds nothing up, and its caller may take long over what was read.
            cursor.execute(_SESSION % (int(statement_s * 1000), "10min" if readonly else "10s"))
    except (psycopg2.Error, ValueError, UnicodeError) as error:
        raise StateAddressError(
            f"{variable}: {words(error)}; is the PostgreSQL there, and the account right?"
        ) from None
    return connection


def ask(address: str, question: str, *, variable: str = "FX_STATE_URL", statement_s: float = 30) -> Any:
    """The one value that a database answers. Raises StateAddressError, naming the variable."""
    connected = connect(address, readonly=True, statement_s=statement_s, variable=variable)
    import psycopg2  # it is there, then

    try:
        with closing(connected) as connection, connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0]
    except psycopg2.Error as error:
        raise StateAddressError(f"{variable}: {words(error)}") from None


def words(error: BaseException) -> str:
    """What went wrong, without host, account or password (libpq repeats the first two)."""
    state = getattr(error, "pgcode", None)
    diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)
    if diagnosis:
        return f"the PostgreSQL refuses ({diagnosis})"
    text = str(error).lower()
    for mark, meaning in (
        ("password authentication failed", "the PostgreSQL refuses the account or its password"),
        ("no pg_hba.conf entry", "the PostgreSQL refuses connections from this host"),
        ("does not exist", "the PostgreSQL has no such database or account"),
        ("could not translate host name", "the host's name is unknown"),
        ("connection refused", "nobody answers there"),
        ("timeout expired", "no answer in time"),
        ("ssl", "the encrypted connection failed"),
        ("starting up", "the PostgreSQL is starting"),
        ("shutting down", "the PostgreSQL is shutting down"),
    ):
        if mark in text:
            return meaning
    return "the connection failed" if state is None else f"the PostgreSQL refuses (error {state})"


def describe(where: Path | str) -> str:
    """How messages call a store: the file's path, or the variable's name."""
    return "FX_STATE_URL" if is_address(where) else str(where)


def is_address(where: Path | str) -> bool:
    """Whether `stores.state` is an address rather than a file."""
    return isinstance(where, str) and "://" in where


def _whole(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return bool(parts.hostname or parts.query) and (parts.port or 1) > 0
    except ValueError:
        return False

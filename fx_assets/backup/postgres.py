"""The service's tables in PostgreSQL (FX_STATE_URL): out and in again by PostgreSQL's own programs.

The password goes through the environment of pg_dump and pg_restore, never over their command line; messages hold
nothing of the address.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from fx_assets.errors import StoreError
from fx_serving.client.state_address import SCHEMA, StateAddressError, connect, words


def has_schema(address: str) -> bool:
    """Whether the service ever had tables there. Raises StoreError where the database does not answer."""
    try:
        with contextlib.closing(connect(address, readonly=True)) as db, db.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = %s", (SCHEMA,))
            return cursor.fetchone()[0] > 0
    except StateAddressError as error:
        raise StoreError(f"{error}.") from None


def dump(address: str, to: Path) -> None:
    """The service's tables as of one moment, in the custom format. Raises StoreError."""
    _run("pg_dump", address, ["--format=custom", f"--schema={SCHEMA}", "--no-owner", "--no-privileges", f"--file={to}"])


def require_empty(address: str) -> None:
    """Raises StoreError where the database has the service's tables already."""
    if has_schema(address):
        raise StoreError(
            f"FX_STATE_URL: the database has a schema {SCHEMA} already, and a backup is restored into an empty one "
            f"only. Name another database; or, if nothing needs it any more, DROP SCHEMA {SCHEMA} CASCADE."
        )


def restore(address: str, dumped: Path) -> None:
    """All tables or none. Raises StoreError."""
    _run("pg_restore", address, ["--single-transaction", "--no-owner", "--no-privileges", str(dumped)])


def _run(program: str, address: str, arguments: list[str]) -> None:
    if (found := shutil.which(program)) is None:
        raise StoreError(
            f"{program}: not found, and FX_STATE_URL keeps the service's state in PostgreSQL. Install PostgreSQL's "
            "client programs, of the server's version or newer (Debian: apt install postgresql-client)."
        )
    where, password = _without_password(address)
    secret = {"PGPASSWORD": password} if password else {}
    environment = {**os.environ, **secret, "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "fx-backup", "LC_ALL": "C"}
    environment.pop("FX_STATE_URL", None)
    done = subprocess.run(
        [found, "--no-password", f"--dbname={where}", *arguments], env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        said = done.stderr
        if "server version mismatch" in said:
            why = f"{program} is older than the server; install the client programs of the server's version"
        elif (known := words(Exception(said))) != "the connection failed":
            why = known
        else:
            why = f"{program} ended with {done.returncode}; call it by hand to see why"
        raise StoreError(f"FX_STATE_URL: {why}. Nothing was changed.")


def _without_password(address: str) -> tuple[str, str | None]:
    """What libpq connects to, and the password apart."""
    from psycopg2.extensions import make_dsn, parse_dsn

    parts = parse_dsn(address.replace("postgresql+psycopg2://", "postgresql://", 1))
    password = parts.pop("password", None)
    return make_dsn(**parts), password

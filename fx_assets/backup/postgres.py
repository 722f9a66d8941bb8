"""What of a home is kept in PostgreSQL: out and in again by PostgreSQL's own programs.

The password goes through the environment of pg_dump and pg_restore, never over their command line; messages hold
nothing of the address.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from fx_assets.errors import StoreError
from fx_assets.resources import tracking
from fx_serving.client.state_address import SCHEMA, StateAddressError, ask, words


@dataclass(frozen=True)
class Tables:
    """Tables that lie in PostgreSQL where a variable says so, and in SQLite files of the home where not.

    what: they are. sqlite: their file in a home. file: their dump in a backup. select: of pg_dump. found: a query that
    counts them. place: what holds them there. remove: how to make room for a backup.
    """

    variable: str
    what: str
    sqlite: str
    file: str
    select: str
    found: str
    place: str
    remove: str

    @property
    def address(self) -> str | None:
        """Of their database, as the environment has it."""
        return os.environ.get(self.variable, "").strip() or None


SERVICE = Tables(
    variable="FX_STATE_URL",
    what="the service's state",
    sqlite="serving/state.db",
    file="postgres/fx_serving.dump",
    select=f"--schema={SCHEMA}",
    found=f"SELECT count(*) FROM pg_namespace WHERE nspname = '{SCHEMA}'",
    place=f"a schema {SCHEMA}",
    remove=f"DROP SCHEMA {SCHEMA} CASCADE",
)
#: They lie in the default schema, with which pg_dump makes no tables if it is asked for it by name.
MLFLOW = Tables(
    variable=tracking.VARIABLE,
    what="MLflow's runs and registered models",
    sqlite="mlflow/mlflow.db",
    file="postgres/mlflow.dump",
    select=f"--exclude-schema={SCHEMA}",
    found="SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = 'model_versions'",
    place="MLflow's tables",
    remove="DROP SCHEMA public CASCADE; CREATE SCHEMA public",
)
ALL = (SERVICE, MLFLOW)


def exist(tables: Tables, address: str) -> bool:
    """Whether they were ever made there. Raises StoreError where the database does not answer."""
    try:
        return ask(address, tables.found, variable=tables.variable) > 0
    except StateAddressError as error:
        raise StoreError(f"{error}.") from None


def dump(tables: Tables, address: str, to: Path) -> None:
    """The tables as of one moment, in the custom format. Raises StoreError."""
    options = ["--format=custom", tables.select, "--no-owner", "--no-privileges", f"--file={to}"]
    _run("pg_dump", tables, address, options)


def require_empty(tables: Tables, address: str) -> None:
    """Raises StoreError where the database has the tables already."""
    if exist(tables, address):
        raise StoreError(
            f"{tables.variable}: the database has {tables.place} already, and a backup is restored into an empty one "
            f"only. Name another database; or, if nothing needs it any more, {tables.remove}."
        )


def restore(tables: Tables, address: str, dumped: Path) -> None:
    """All tables or none. Raises StoreError."""
    options = ["--single-transaction", "--no-owner", "--no-privileges", str(dumped)]
    _run("pg_restore", tables, address, options)


def _run(program: str, tables: Tables, address: str, arguments: list[str]) -> None:
    if (found := shutil.which(program)) is None:
        raise StoreError(
            f"{program}: not found, and {tables.variable} keeps {tables.what} in PostgreSQL. Install PostgreSQL's "
            "client programs, of the server's version or newer (Debian: apt install postgresql-client)."
        )
    where, password = _without_password(address)
    secret = {"PGPASSWORD": password} if password else {}
    environment = {**os.environ, **secret, "PGCONNECT_TIMEOUT": "10", "PGAPPNAME": "fx-backup", "LC_ALL": "C"}
    for known in ALL:
        environment.pop(known.variable, None)
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
        raise StoreError(f"{tables.variable}: {why}. Nothing was changed there.")


def _without_password(address: str) -> tuple[str, str | None]:
    """What libpq connects to, and the password apart."""
    from psycopg2.extensions import make_dsn, parse_dsn

    parts = parse_dsn(address.replace("postgresql+psycopg2://", "postgresql://", 1))
    password = parts.pop("password", None)
    return make_dsn(**parts), password

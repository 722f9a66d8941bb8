"""Make the folder of a composed platform: data folders, and what is private of it. What is there already stays.

    python3 deploy/compose/prepare.py FOLDER

Only the standard library and the program `openssl` are needed. `settings.env` tells Compose user and folder; passwords,
tokens and the certificate are files of FOLDER/secrets, which its owner alone can enter.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

DATABASES = {
    "DAGSTER": "FX_DAGSTER_URL",
    "MLFLOW": "FX_MLFLOW_URL",
    "FEAST": "FX_REGISTRY_URL",
    "SERVING": "FX_STATE_URL",
}
NAMES = "DNS:localhost,IP:127.0.0.1"
#: A folder of S3's is a bucket; the archive does not make its own.
DATA = (
    "home",
    "home/dagster",
    "serving-a",
    "serving-b",
    "postgres",
    "redis",
    "s3",
    "s3/fx-archive",
    "prometheus",
    "alertmanager",
    "grafana",
)
SOCKET = Path("/var/run/docker.sock")
#: Of the images; who is root here is nobody there.
UNPRIVILEGED = 10001


def prepare(folder: Path) -> list[str]:
    """Make everything that is missing; returns the names of new files."""
    if shutil.which("openssl") is None:
        raise SystemExit("openssl: not found; it makes the certificate. On Debian or Ubuntu: sudo apt install openssl")
    if " " in str(folder):
        raise SystemExit(f"{folder}: make and Compose take no folder with a space in its name. Choose another one.")
    user, group = (os.getuid(), os.getgid()) if os.getuid() else (UNPRIVILEGED, UNPRIVILEGED)
    for name in DATA:
        path = folder / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.getuid() and path.stat().st_uid != user:
            os.chown(path, user, group)
    (folder / "home" / "dagster" / "dagster.yaml").touch()  # the settings are mounted over it
    made = _private(folder / "secrets")
    engine = SOCKET.stat().st_gid if SOCKET.exists() else 0
    settings = {"FX_COMPOSE_FOLDER": folder, "FX_USER": f"{user}:{group}", "FX_USER_ID": user, "DOCKER_GID": engine}
    _write(folder / "settings.env", "".join(f"{name}={value}\n" for name, value in settings.items()), 0o600)
    return made


def _private(folder: Path) -> list[str]:
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "alertmanager").mkdir(mode=0o755, exist_ok=True)  # of its receivers, by whoever has some
    made: list[str] = []

    def keep(name: str, content: Callable[[], str]) -> str:
        path = folder / name
        if not path.exists():
            _write(path, content())
            made.append(name)
        return path.read_text(encoding="utf-8")

    keep("POSTGRES_PASSWORD", _password)
    keep("GRAFANA_PASSWORD", _password)
    for database, variable in DATABASES.items():
        password, name = keep(f"{database}_PASSWORD", _password), database.lower()
        keep(variable, lambda p=password, n=name: f"postgresql+psycopg2://{n}:{p}@postgres:5432/{n}")
    redis = keep("REDIS_PASSWORD", _password)
    keep("FX_REDIS_URL", lambda: f"redis://:{redis}@redis:6379/0")
    keep("redis.acl", lambda: f"user default on >{redis} ~* &* +@all\n")
    for name in ("FX_SERVING_TOKEN", "FX_EXPORTER_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        keep(name, _password)
    people = {person: keep(f"{person.upper()}_PASSWORD", _password) for person in ("operator", "viewer")}
    keep("proxy.htpasswd", lambda: "".join(f"{person}:{_hashed(password)}\n" for person, password in people.items()))
    if not (folder / "proxy.crt").exists():
        _certificate(folder)
        made += ["proxy.crt", "proxy.key"]
    return made


def _password() -> str:
    return secrets.token_urlsafe(24)


def _write(path: Path, content: str, mode: int = 0o444) -> None:
    """Whole or not at all. Readable by the users of the containers that it is mounted into; its folder is not."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.write_text(content, encoding="utf-8")
    made.chmod(mode)
    made.replace(path)


def _hashed(password: str) -> str:
    done = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def _certificate(folder: Path) -> None:
    """Signed by itself, for a year: put one of an authority in its place."""
    key, crt = (folder / f".proxy.{end}" for end in ("key", "crt"))
    asked = ["-subj", "/CN=localhost", "-addext", f"subjectAltName={NAMES}", "-keyout", str(key), "-out", str(crt)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "365", *asked]
    subprocess.run(command, check=True, capture_output=True)
    for made, name in ((key, "proxy.key"), (crt, "proxy.crt")):
        made.chmod(0o444)
        made.replace(folder / name)


if __name__ == "__main__":
    where = Path(sys.argv[1]).expanduser().resolve()
    if new := prepare(where):
        print(f"{where / 'secrets'}: made {', '.join(new)}")

"""The internal key: how the parts of one service know each other. New at each start, for its owner's eyes only."""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Replace `path` by a file that only its owner can read, never for a moment by one that others can."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_internal_key(path: Path) -> str:
    """A new key in `path`; returns it."""
    key = secrets.token_urlsafe(32)
    write_secret(path, key.encode())
    return key


def read_internal_key(path: Path) -> str:
    """The key in force; "" (which fits nothing) where there is none."""
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def bearer(key: str) -> str:
    """The Authorization header's value."""
    return f"Bearer {key}"


def accepts(key: str, authorization: str | bytes | None) -> bool:
    """Whether the header carries the key, in a time that does not tell how much of it was right."""
    given = authorization.encode("utf-8", "replace") if isinstance(authorization, str) else authorization or b""
    return bool(key) and hmac.compare_digest(given, bearer(key).encode())

"""Secrets from files or from a secret manager, as environment variables of this process and of those it starts.

FX_SECRETS_DIR: a folder with a file for each, named like its variable, as Docker, Kubernetes and Vault's agent write
them. FX_SECRETS_COMMAND: a command that prints them as one JSON object. What the environment has already wins, then
the folder. No message of this module contains a value.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

FOLDER, COMMAND = "FX_SECRETS_DIR", "FX_SECRETS_COMMAND"
_READ = "FX_SECRETS_READ"  # by the process that started this one
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
_LARGEST = 65_536  # bytes: a certificate with its chain, and not somebody's database
_TIMEOUT_S = 30
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # JSON can write halves of characters, which no variable can hold
# What decides which code runs is no secret, and nothing that may write secrets may choose it.
_REFUSED = re.compile(r"PATH|IFS|ENV|HOME|LD_.*|PYTHON.*|BASH_.*|GLIBC_.*|FX_(SECRETS.*|HOME)|DAGSTER_HOME")


class SecretsError(Exception):
    """Secrets that cannot be read: names variable, place and remedy."""


def read_secrets() -> list[str]:
    """Set the variables that are not set yet; returns their names. Once for a process and all that it starts.

    Raises SecretsError.
    """
    folder, command = (os.environ.get(name, "").strip() for name in (FOLDER, COMMAND))
    told = f"{folder}\n{command}"
    if not (folder or command) or os.environ.get(_READ) == told:
        return []
    found = dict(_of_command(command)) if command else {}
    found |= _of_folder(Path(folder)) if folder else ()
    fresh = {name: value for name, value in found.items() if name not in os.environ}
    os.environ.update(fresh, **{_READ: told})
    return sorted(fresh)


def _of_folder(folder: Path) -> Iterator[tuple[str, str]]:
    try:
        files = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file())
        for path in files:
            yield path.name, _checked(path.name, _text(path), f"{FOLDER}: {path}")
    except OSError as error:
        raise SecretsError(
            f"{FOLDER}: {folder}: cannot be read ({error.strerror}). Mount the folder, let this user read it, or unset "
            f"{FOLDER}."
        ) from None


def _text(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_LARGEST + 3)  # and a line end
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretsError(f"{FOLDER}: {path}: is no UTF-8 text. Write the secret as text.") from None


def _of_command(command: str) -> Iterator[tuple[str, str]]:
    """Nothing of the command line or of what it prints is told: either may hold what it was to keep."""
    try:
        words = shlex.split(command)
        if not words or "=" in words[0]:
            raise SecretsError(f"{COMMAND}: does not begin with a program. No shell reads it: no NAME=value before it.")
        done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
    except ValueError:
        raise SecretsError(f"{COMMAND}: cannot be split into words. Mend its quotes.") from None
    except subprocess.TimeoutExpired:
        raise SecretsError(
            f"{COMMAND}: did not end within {_TIMEOUT_S} s. Try it by hand; it may ask for a login."
        ) from None
    except OSError as error:
        raise SecretsError(f"{COMMAND}: cannot be started ({error.strerror}). Install it, or mend it.") from None
    wanted = 'it must print one JSON object of names and texts, {"NAME": "value"}'
    if done.returncode != 0:
        raise SecretsError(f"{COMMAND}: ended with code {done.returncode}. Try it by hand: {wanted}.")
    try:
        made = json.loads(done.stdout)
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict) or not all(isinstance(value, str) for value in made.values()):
        raise SecretsError(f"{COMMAND}: printed something else: {wanted}. Choose its output so.")
    if not all(map(_NAME.fullmatch, made)):
        raise SecretsError(
            f"{COMMAND}: printed a name that cannot be a variable. Use capital letters, digits and underscores."
        )
    for name, value in made.items():
        yield name, _checked(name, value, COMMAND)


def _checked(name: str, value: str, place: str) -> str:
    """A value without the line end that editors add."""
    if _REFUSED.fullmatch(name):
        raise SecretsError(f"{place}: {name} is no secret, and is not taken from there. Remove it.")
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or _NO_TEXT.search(value):
        raise SecretsError(f"{place}: {name} is empty or binary. Write the secret into it, or remove it.")
    if len(value) > _LARGEST:
        raise SecretsError(f"{place}: {name} is larger than {_LARGEST} bytes. Put nothing but the secret into it.")
    return value

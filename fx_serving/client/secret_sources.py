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
    fresh = {name: value for name, value in found.items() if not os.environ.get(name)}
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
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise SecretsError(f"{FOLDER}: {path}: larger than {_LARGEST} bytes. Put nothing but the secret into it.")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise SecretsError(f"{FOLDER}: {path}: is no UTF-8 text. Write the secret as text.") from None


def _of_command(command: str) -> Iterator[tuple[str, str]]:
    try:
        words = shlex.split(command)
        done = subprocess.run(words, capture_output=True, timeout=_TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
    except ValueError as error:
        raise SecretsError(f"{COMMAND}: cannot be split into words ({error}). Mend its quotes.") from None
    except subprocess.TimeoutExpired:
        raise SecretsError(
            f"{COMMAND}: {words[0]} did not end within {_TIMEOUT_S} s. Try it by hand; it may ask for a login."
        ) from None
    except (OSError, IndexError) as error:
        raise SecretsError(f"{COMMAND}: cannot be started ({error}). Install it, or mend the command.") from None
    if done.returncode != 0:  # what it says may hold what it was to keep
        raise SecretsError(
            f"{COMMAND}: {words[0]} ended with code {done.returncode}. Try it by hand: it must print one JSON object, "
            '{"NAME": "value"}.'
        )
    try:
        made = json.loads(done.stdout)
    except (ValueError, RecursionError):
        made = None
    if not isinstance(made, dict) or not all(isinstance(value, str) for value in made.values()):
        raise SecretsError(
            f'{COMMAND}: {words[0]} did not print one JSON object of names and texts, {{"NAME": "value"}}. '
            "Choose its output so."
        )
    for name, value in made.items():
        if not _NAME.fullmatch(name):
            raise SecretsError(
                f"{COMMAND}: {name!r} cannot be a variable. Use capital letters, digits and underscores."
            )
        yield name, _checked(name, value, COMMAND)


def _checked(name: str, value: str, place: str) -> str:
    """A value without the line end that editors add."""
    if _REFUSED.fullmatch(name):
        raise SecretsError(f"{place}: {name} is no secret, and is not taken from there. Remove it.")
    value = value.removesuffix("\n").removesuffix("\r")
    if not value or "\0" in value:
        raise SecretsError(f"{place}: {name} is empty or binary. Write the secret into it, or remove it.")
    return value

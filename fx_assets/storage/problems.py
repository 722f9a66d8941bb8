"""Failures of a disk or an object store in words: which file, why, what is untouched, and what to do.

No secret may get into them: URLs lose user names, passwords and query strings.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

from fx_assets.errors import StoreError

UNTOUCHED = "Everything that was there before is untouched."
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/@'\"]*@)?([^\s?#'\"]*)(?:[?#][^\s'\"]*)?", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """The text with user names, passwords and query strings taken out of every URL in it."""
    return _URL.sub(r"\1\2", text)


def disk_problem(path: Path | str, doing: str, error: OSError, size: int = 0) -> StoreError:
    """What an OSError means for one file. doing: such as "written". size: bytes that were to be written."""
    path = Path(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        why = f"the disk is full ({_free(path)}; needed are {_amount(size)})"
        if error.errno == errno.EDQUOT:
            why = f"the disk quota of this user is used up (needed are {_amount(size)})"
        remedy = "Free space, or move the data to a larger disk, and run the same command again."
    elif error.errno == errno.EROFS:
        why, remedy = "the file system is read-only", "Mount it writable, or choose another folder with FX_HOME."
    elif error.errno in (errno.EACCES, errno.EPERM):
        why, remedy = (
            "permission is denied",
            f"Give this user (uid {os.getuid()}) the right to, or choose another folder.",
        )
    else:
        why, remedy = os.strerror(error.errno) if error.errno else str(error), "Check the disk, and run it again."
    return StoreError(f"{path}: cannot be {doing}: {why}. {UNTOUCHED} {remedy}")


def disk_fault(error: OSError) -> StoreError | None:
    """A disk that is full, read-only or not this user's, which something other than a store met with.

    None for any other error, also for a right that is missing for something else than a file (a port, a process).
    """
    if error.errno in (errno.EACCES, errno.EPERM) and error.filename is not None:
        return disk_problem(os.fsdecode(error.filename), "read or written", error)
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return None
    return disk_problem(str(error.filename or Path.cwd()), "written", error)


def object_problem(where: str, doing: str, error: BaseException) -> StoreError:
    """What an object store's error means for one object; `where` is a URL."""
    name = type(error).__name__
    why = without_secrets(f"{name}: {error}".splitlines()[0])[:300].rstrip(".")
    if isinstance(error, PermissionError) or "Credential" in name:
        remedy = "Check the credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) and the policy."
    elif isinstance(error, FileNotFoundError):
        remedy = "Create the bucket, or mend the URL."
    elif isinstance(error, ImportError):
        remedy = "Install the library for it, such as fx-platform[s3]."
    else:
        remedy = "Check that the store is reachable (AWS_ENDPOINT_URL, network, credentials), and run it again."
    return StoreError(f"{without_secrets(where)}: cannot be {doing}: {why}. {UNTOUCHED} {remedy}")


def _free(path: Path) -> str:
    """What is left on the disk that holds `path`, which need not exist itself."""
    folder = next((f for f in (path, *path.parents) if f.exists()), Path("/"))
    try:
        inodes = os.statvfs(folder)
        left = shutil.disk_usage(folder).free
    except OSError:
        return "how much is left cannot be told"
    # A file system may run out of files before it runs out of bytes.
    return "no file can be added" if inodes.f_files and not inodes.f_favail else f"{_amount(left)} left"


def _amount(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size:,} bytes"

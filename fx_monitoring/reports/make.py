"""Making the newest report of a kind, through the functions that the assets use.

    python -m fx_monitoring.reports.make drift --model move_60m --session 2022-03-03

The service runs this as a process of its own: what a report takes (memory, libraries, a crash) ends with it. The last
line of its output is the report's path; with exit code NOTHING, of its errors why there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fx_assets.errors import FxError, MissingData, StoreError
from fx_monitoring.reports.library import KINDS
from fx_serving.client.home import Stores, fx_home

if TYPE_CHECKING:
    from fx_assets.lake import Lake

TIMEOUT_S = 300.0
PREDICTIONS = "monitoring/predictions"
SEARCHED = 20  # sessions
NOTHING = 3  # exit code: there is nothing to report; any other but 0 is a defect
_ROOT = Path(__file__).parents[2]


class NotMade(Exception):
    """There is no report; the message says why. status: as HTTP has it, 422 where there is nothing to report."""

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


async def in_own_process(kind: str, model: str | None, session: str | None, timeout_s: float = TIMEOUT_S) -> Path:
    """The path of a report that another process makes. Raises NotMade; a cancelled call leaves no process."""
    command = [sys.executable, "-m", __name__, kind]
    command += ["--model", model] if model else []
    command += ["--session", session] if session else []
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, cwd=_ROOT
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), timeout_s)
    except TimeoutError:
        raise NotMade(
            f"it took more than {timeout_s:g} s, and was ended; the reports of the assets are kept", 504
        ) from None
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.communicate()  # to its pipes' end
    if child.returncode:
        told = (err.decode(errors="replace").strip().splitlines() or [f"it ended with code {child.returncode}"])[-1]
        raise NotMade(told, 422 if child.returncode == NOTHING else 500)
    return Path(out.decode().strip().splitlines()[-1])


def make(stores: Stores, kind: str, model: str | None = None, session: str | None = None) -> Path:
    """Make a report and return its path. Raises FxError."""
    from fx_assets.configuration import load_configuration
    from fx_assets.lake import Lake, lake_root

    configuration = load_configuration()
    if model is not None and model not in configuration.models.models:
        known = ", ".join(configuration.models.models)
        raise MissingData(f"model: {model!r} is not in models.yaml. Use one of {known}.")
    lake = Lake(lake_root(stores.home, configuration.data.storage))
    if kind == "drift":
        return _drift(stores, lake, model, session)
    if kind == "quality":
        from fx_monitoring.quality.page import make_report as quality

        return quality(stores, lake, model, session)
    from fx_monitoring.quality.data_page import make_report as data_quality

    return data_quality(stores, lake, configuration, session)


def _drift(stores: Stores, lake: Lake, model: str | None, session: str | None) -> Path:
    """The drift of the newest session with predictions (of the model, where one is named), judged as the asset does."""
    from fx_monitoring.drift.judge import judge_model
    from fx_serving.client.bundle import BundleError

    keys = [session] if session else list(reversed(lake.keys(PREDICTIONS)[-SEARCHED:]))
    for key in keys:
        rows = lake.read(PREDICTIONS, [key]).get(key)
        if rows is None or not len(named := rows if model is None else rows[rows["model"] == model]):
            continue
        chosen = model or str(named["model"].mode().iloc[0])
        try:
            status = judge_model(stores, chosen, key, named[named["model"] == chosen], lake=lake)
        except BundleError as error:
            raise StoreError(str(error)) from None
        if not status["html"]:
            raise MissingData(f"{chosen}: the predictions of session {key} have no features to report on.")
        return Path(status["html"])
    which = f" of {model}" if model else ""
    raise MissingData(
        f"{PREDICTIONS}: no predictions{which} in {session or 'the newest sessions'}. Ask the service for some, and "
        "materialize predictions."
    )


def main() -> int:
    """Make one report of FX_HOME."""
    parser = argparse.ArgumentParser(prog="python -m fx_monitoring.reports.make", description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--model")
    parser.add_argument("--session")
    chosen = parser.parse_args()
    os.environ.setdefault("DO_NOT_TRACK", "1")
    try:
        print(make(Stores(fx_home()), chosen.kind, chosen.model, chosen.session))
    except FxError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return NOTHING
    return 0


if __name__ == "__main__":
    sys.exit(main())

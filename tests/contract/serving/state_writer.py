"""Commits to the state of a home until it is killed: python state_writer.py HOME. Prints each number once committed."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from fx_serving.client.home import Stores
from fx_serving.state import AuditEntry, Change, Deployed, RolloutRow, open_state


def main() -> None:
    """Go on from the number the deployed version has."""
    store = open_state(Stores(Path(sys.argv[1])))
    found = store.deployed().get("m")
    number = int(found.version) if found else 0
    while True:
        number += 1
        at, text = datetime.now(UTC), str(number)
        rollout = RolloutRow(
            id="r",
            model="m",
            version="2",
            state="canary",
            request_id=None,
            created_at=at,
            finished_at=None,
            body=text,
        )
        entry = AuditEntry(
            at=at,
            actor="w",
            model="m",
            rollout_id="r",
            what=text,
            why="",
            state="canary",
            weight=1,
            detail={"n": number},
        )
        change = Change(
            rollouts=(rollout,), deploy={"m": Deployed(version=text, rollout_id="r", at=at)}, audit=(entry, entry)
        )
        store.commit(change, None)
        print(number, flush=True)


if __name__ == "__main__":
    main()

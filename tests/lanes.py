"""Two lanes for the files that run a whole platform, each with a daemon, code servers and a service.

With `--dist loadfile` alone the longest files begin first, so four platforms would share two cores at the start of a
run, and what the daemons do would take several times as long as at its end. The files of a lane run one after another.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

LANES = (
    ("tests/integration/test_drift_daemon.py", "tests/integration/test_automation_daemon.py"),
    (
        "tests/e2e/test_live.py",
        "tests/chaos/test_monitoring_kills.py",
        "tests/integration/test_prometheus.py",
    ),
)
_FIRST = {file: lane[0] for lane in LANES for file in lane}


def _lane(file: str) -> str:
    return _FIRST.get(file, file)


class Scheduling(LoadFileScheduling):
    """By file, and what is in a lane by lane."""

    def _split_scope(self, nodeid: str) -> str:
        return _lane(super()._split_scope(nodeid))


def scheduling(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """For `--dist loadfile`; None leaves the choice to xdist."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None

"""How much memory this process has used at most."""

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_UNIT = 1 if sys.platform == "darwin" else 1024  # of getrusage


def peak_bytes() -> int:
    """The largest resident set size since this program was started.

    getrusage, which is asked where there is no /proc, states at least the peak of the process that started this one.
    """
    try:
        found = _PEAK.search(_STATUS.read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT

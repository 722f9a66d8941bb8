"""python -m fx_assets.runs < plans.jsonl: what `runs.start` starts.

What the child imports stays: looking through it again and again would be a sixth of the time until its first run.
"""

import gc
import os
import sys


def start() -> int:
    """Run the child to its end; returns its exit code."""
    gc.disable()
    from fx_assets.runs import execute

    gc.enable()
    try:
        return execute.main()
    except KeyboardInterrupt:  # between two runs; during one Dagster marks the run as failed
        # What a reader that is gone did not take would be tried again at the exit, and change the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return execute.INTERRUPTED


if __name__ == "__main__":
    sys.exit(start())

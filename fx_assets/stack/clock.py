"""The clock of a home, as a program: `python -m fx_assets.stack.clock` prints what FX_CLOCK must be, or nothing.

For what starts services without this package, such as a Compose file.
"""

import os

from fx_assets.configuration import load_configuration
from fx_assets.stack.environment import replay_clock

if __name__ == "__main__":
    print(os.environ.get("FX_CLOCK", "").strip() or replay_clock(load_configuration()) or "")

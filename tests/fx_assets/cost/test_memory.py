"""The peak of a process is its own, whoever started it."""

import subprocess
import sys

CHILD = "from fx_assets.cost.memory import peak_bytes; print(peak_bytes())"
PARENT = f"""
import subprocess, sys
from fx_assets.cost.memory import peak_bytes
len(b"x" * (300 << 20))
print(peak_bytes())
subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
"""


def test_a_peak_holds_what_is_gone_and_nothing_of_the_process_that_started_this_one():
    told = subprocess.run([sys.executable, "-u", "-c", PARENT], capture_output=True, text=True, check=True).stdout
    parent, child = map(int, told.split())
    assert parent > 300 << 20
    assert 1 << 20 < child < 200 << 20

"""The lanes of tests/lanes.py name files that are there, each once: a renamed one would run beside everything else."""

from tests.lanes import LANES
from tests.servers.platform import ROOT


def test_every_file_of_a_lane_is_there_and_in_no_other():
    files = [file for lane in LANES for file in lane]
    assert len(set(files)) == len(files)
    assert [file for file in files if not (ROOT / file).is_file()] == []

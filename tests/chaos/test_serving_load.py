"""The load test of benchmarks/serving in its short form: swaps, reloads and kills under load cost no request."""

import pytest

from benchmarks.serving import load
from tests.counts import SOAK, count


@pytest.mark.slow
@pytest.mark.timeout(1800 if SOAK else 900)
def test_no_request_fails_while_versions_are_swapped_and_workers_killed(tmp_path):
    swaps = count("load_swaps")
    reloads, kills = (3, 10) if SOAK else (1, 2)
    report = load.run(tmp_path, count("load_requests"), swaps, reloads, kills, per_second=350 if SOAK else 150)
    told = "\n".join(report.lines())
    assert report.failed == 0, told
    assert report.resets["other"] == 0, told
    assert report.result.requests >= count("load_requests")
    assert sum(report.result.statuses.values()) == report.result.requests
    assert report.swaps == swaps, told
    assert (report.reloads, len(report.kills)) == (reloads, kills)
    assert report.weights == set(load.STEPS)
    assert set(report.result.versions) == {"1", "2"}

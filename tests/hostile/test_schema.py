"""schemathesis over the service's own document: every operation, every check, with a token as the document demands.

Streams have no end, and are tried in tests/fx_serving.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.counts import SOAK, count
from tests.servers.serving import make_bundle, publish_features, start_service, wait_until

SETTINGS = Path(__file__).with_name("schemathesis.toml")
STREAMS = "^/(stream/predictions|console/events)$"
TOKEN = "an operator, as far as this test goes"


@pytest.mark.slow(30)
@pytest.mark.timeout(1800 if SOAK else 900)
def test_generated_requests_find_nothing(tmp_path):
    program = shutil.which("schemathesis", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    assert program, "schemathesis belongs to the extra dev: pip install -e '.[dev]'"
    with start_service(tmp_path, environment={"FX_SERVING_TOKEN": TOKEN}) as service:
        publish_features(service.stores)
        make_bundle(service.stores, "1")
        service.deploy("1")
        before = service.worker_pids(), service.controller_pid()
        command = [program, "--config-file", str(SETTINGS), "run", f"{service.url}/openapi.json", "--checks", "all"]
        command += ["--max-examples", str(count("schemathesis_examples")), "--seed", "1", "--no-color"]
        command += ["--phases", "examples,coverage,fuzzing", "--exclude-path-regex", STREAMS]
        command += ["--header", f"Authorization: Bearer {TOKEN}", "--request-timeout", "20"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
        assert "0 selected" not in done.stdout
        assert (service.worker_pids(), service.controller_pid()) == before, "no process may die of a request"
        assert wait_until(lambda: service.client.predict("GBP_USD"))["slot"] == "blue"

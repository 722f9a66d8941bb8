"""A helper of the platform: started, started again after a kill, and gone with the platform."""

import os
import signal

import httpx

from fx_assets.configuration import load_configuration
from fx_assets.stack.ports import free_port
from fx_assets.stack.stack import Ports, Stack
from tests.servers.serving import wait_until


def test_the_report_service_comes_back_and_the_platform_goes_on(tmp_path):
    ports = Ports(dagster=None, serving=None, mlflow=None, reports=free_port())
    with Stack(tmp_path, load_configuration(), ports) as stack:
        stack.start()
        url = stack.addresses["reports"] + "/ping"
        wait_until(lambda: httpx.get(url, trust_env=False))
        process = stack.helpers[0].process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        told = wait_until(stack.look_after)
        assert "reports ended with code -9 and is started again in 1 s" in told
        wait_until(lambda: stack.look_after() is None and httpx.get(url, trust_env=False))
        assert stack.ended() is None
        again = stack.helpers[0].process
        assert again is not None
    assert not again.alive()

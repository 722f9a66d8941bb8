"""The platform that the browser looks at, and the browser."""

import pytest

from tests.servers.demo import Demo, finished_demo, running_platform
from tests.servers.platform import Platform


@pytest.fixture(scope="session")
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return finished_demo(request.config, tmp_path_factory)


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return running_platform(request.config, tmp_path_factory)

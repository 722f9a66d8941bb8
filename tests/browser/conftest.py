"""The platform that the browser looks at."""

import pytest

from tests.servers.demo import running_platform
from tests.servers.platform import Platform


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return running_platform(request.config, tmp_path_factory)

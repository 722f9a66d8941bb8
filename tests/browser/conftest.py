"""The browser, and the platform that it looks at."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.servers.demo import running_platform
from tests.servers.platform import Platform


@pytest.fixture(scope="session")
def platform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Platform:
    return running_platform(request.config, tmp_path_factory)


@pytest.fixture(scope="module")
def browser(program: Callable[[str, str], str]) -> Iterator[Browser]:
    """Debian calls it chromium; elsewhere it may be Chrome."""
    path = shutil.which("google-chrome") or program("chromium", "chromium")
    with sync_playwright() as playwright:
        # The sandbox needs user namespaces, which containers often lack; only our own pages are opened.
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield opened
        opened.close()

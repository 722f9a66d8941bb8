"""The model card in a real browser: whole, readable wide and narrow, and without asking any other machine.

Set FX_TEST_SCREENSHOTS to a folder, docs/images for example, to keep the picture of the demo's card.
"""

import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from fx_assets.models.card import PAGE, make
from tests.fx_assets.models.cards import APPROVED, content, judged
from tests.servers.platform import Platform

pytestmark = pytest.mark.server

KEPT = "FX_TEST_SCREENSHOTS"
WIDE, NARROW, HEIGHT = 1180, 390, 1440
LARGEST = 400_000  # bytes of a picture in docs/images
COLOURS = 200  # of its palette: a third of the bytes


def opened(browser: Browser, path: Path, width: int) -> tuple[Any, list[str]]:
    """The page in a window of that width, and everything it asked for beside itself or complained of."""
    shown = browser.new_context(viewport={"width": width, "height": HEIGHT}).new_page()
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: asked.append(message.text))
    shown.goto(path.as_uri())
    return shown, [url for url in asked if not url.startswith(("data:", path.as_uri()))]


def reads_well(shown: Any, width: int) -> None:
    """Every picture is there, and nothing sticks out to the right."""
    pictures = shown.locator("img")
    assert pictures.count() == 10
    assert shown.evaluate("Array.from(document.images).every(image => image.complete && image.naturalWidth > 500)")
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    small = shown.evaluate(
        "Array.from(document.querySelectorAll('p, li, td, th, figcaption')).filter("
        "e => parseFloat(getComputedStyle(e).fontSize) < 12).length"
    )
    assert small == 0


@pytest.fixture(scope="module")
def card_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(content()).write(tmp_path_factory.mktemp("card"))


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_card_is_whole_and_readable(browser: Browser, card_file: Path, width: int):
    shown, asked = opened(browser, card_file, width)
    assert asked == []
    reads_well(shown, width)
    expect(shown.get_by_role("heading", level=1)).to_have_text("move, version 2")
    expect(shown.locator(".badge")).to_have_text("approved")
    for title in ("Verdict", "Intended use, label and data", "Against the champion", "Limits", "Origin"):
        expect(shown.get_by_role("heading", name=title)).to_be_visible()
    shown.context.close()


def test_a_rejected_card_looks_rejected(browser: Browser, tmp_path: Path):
    missed = {**APPROVED["gates"][0], "passed": False}
    verdict = {**APPROVED, "approved": False, "missed": ["sure"], "gates": [missed]}
    shown, _ = opened(browser, make(content(verdict)).write(tmp_path), WIDE)
    colours = {
        name: shown.evaluate(f"getComputedStyle(document.querySelector('{name}')).backgroundColor")
        for name in (".badge", ".chip")
    }
    red = [int(part) for part in colours[".badge"][4:-1].split(",")]
    assert red[0] > 2 * max(red[1:])
    assert colours[".chip"] != colours[".badge"]
    assert judged().evidence["champion"] is not None
    shown.context.close()


@pytest.mark.demo
@pytest.mark.parametrize(
    ("model", "version", "badge"), [("move_60m", "2", "approved"), ("direction_60m", "1", "rejected")]
)
def test_the_cards_of_the_demo_read_well(browser: Browser, platform: Platform, tmp_path, model, version, badge):
    path = platform.home / "cards" / model / version / PAGE
    shown, asked = opened(browser, path, WIDE)
    assert asked == []
    reads_well(shown, WIDE)
    expect(shown.locator(".badge")).to_have_text(badge)
    folder = Path(os.environ.get(KEPT) or tmp_path)
    kept = folder / "model-card.png" if badge == "approved" else tmp_path / "rejected.png"
    picture = Image.open(io.BytesIO(shown.screenshot())).convert("RGB").quantize(COLOURS)
    picture.save(kept, optimize=True)
    assert picture.size == (WIDE, HEIGHT)
    assert 40_000 < kept.stat().st_size < LARGEST
    shown.context.close()

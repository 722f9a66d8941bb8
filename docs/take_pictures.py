"""python docs/take_pictures.py --dagster URL: the pictures of the Dagster UI in docs/images, from a running platform.

A headless Chromium opens each page, waits for what it must show and until nothing changes any more, and takes it. The
pages are worth a look after `docs/play_week.py`; the dashboards are drawn by `docs/render_dashboards.py`.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from render_dashboards import store

IMAGES = Path(__file__).resolve().parent / "images"
PATIENCE_MS = 180_000
STILL_MS = 2_500
# The same for long enough, colours and what still shimmers included.
STILL = """([still]) => {
  const said = document.body.innerHTML;
  const now = Date.now();
  if (said !== window.said) { window.said = said; window.since = now; }
  return now - window.since > still;
}"""
# Where the home lies on this machine is nobody's business.
HIDE = """([home, shown]) => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) texts.currentNode.data = texts.currentNode.data.replaceAll(home, shown);
}"""


# Groups of the asset graph that are drawn with their assets.
GROUPS = ("bronze", "silver", "gold", "feature_store", "strategy", "move_60m", "direction_60m", "inference")
GROUPS += ("monitoring", "platform", "synthetic")
OPENED = ",".join(f"global@global:{group}" for group in GROUPS)


@dataclass(frozen=True)
class Picture:
    """A page of the Dagster UI. shows: texts that must be there. opens: the metadata whose picture is opened on top.
    corner: where the picture begins, right of the navigation.
    """

    name: str
    path: str
    shows: tuple[str, ...]
    size: tuple[int, int] = (1500, 1050)
    opens: str | None = None
    corner: tuple[int, int] = (0, 0)


PICTURES = (
    Picture(
        "asset-graph", f"/asset-groups?expanded={OPENED}", ("quant_health", "candles"), (2600, 2500), corner=(540, 110)
    ),
    Picture("dagster-drift-report", "/assets/drift_report", ("move_60m_action",)),
    Picture("dagster-drift-plot", "/assets/drift_report", ("move_60m_plot",), opens="move_60m_plot"),
    Picture("dagster-prediction-quality", "/assets/prediction_quality", ("verdicts",)),
    Picture("dagster-paper-trading", "/assets/paper_trading", ("Sharpe ratio",)),
    Picture("dagster-quant-health", "/assets/quant_health", ("tiers",)),
    Picture("dagster-features", "/assets/gold/features", ("Every market feature",)),
    Picture("dagster-checks", "/assets/gold/features?view=checks&checkDetail=newest_bar", ("no_lookahead",)),
    Picture("dagster-automation", "/automation", ("monitor", "retrain_on_drift")),
)


def seen(page: Any, text: str) -> Any:
    """Where a text is visible: names that are cut short have hidden ones beside them."""
    return page.get_by_text(text).filter(visible=True).first


def take(page: Any, picture: Picture, dagster: str, home: Path) -> bytes:
    """One picture as PNG."""
    page.set_viewport_size({"width": picture.size[0], "height": picture.size[1]})
    page.goto(dagster + picture.path)
    for text in picture.shows:
        seen(page, text).wait_for()
    if picture.opens:
        row = page.locator("tr", has=page.get_by_text(picture.opens, exact=True))
        row.get_by_text("[Show Markdown]").first.click()
        page.get_by_role("dialog").locator("img").wait_for()
    page.wait_for_function(STILL, arg=[STILL_MS], polling=250)
    page.evaluate(HIDE, [str(home.resolve()), ".fx/week"])
    (left, top), (width, height) = picture.corner, picture.size
    return page.screenshot(clip={"x": left, "y": top, "width": width - left, "height": height - top})


def main() -> int:
    """Take them."""
    from playwright.sync_api import sync_playwright

    names = [picture.name for picture in PICTURES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dagster", default="http://127.0.0.1:3000")
    parser.add_argument("--home", type=Path, default=Path(".fx/week"), help="of the platform")
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    chosen = parser.parse_args()
    program = shutil.which("google-chrome") or shutil.which("chromium")
    with sync_playwright() as playwright:
        # The sandbox needs user namespaces, which containers often lack; only our own pages are opened.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for picture in PICTURES:
            if picture.name in chosen.only:
                page = browser.new_page(timezone_id="UTC")
                page.set_default_timeout(PATIENCE_MS)
                target = chosen.out / f"{picture.name}.png"
                store(take(page, picture, chosen.dagster, chosen.home), target)
                print(f"{target}: {target.stat().st_size:,} bytes")
                page.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The pages people look at, rendered by a real browser: Dagster's asset graph and the service's documentation."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.servers.platform import Platform

pytestmark = [pytest.mark.demo, pytest.mark.server]

PATIENCE_MS = 60_000


@pytest.fixture
def page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    """A page that may not leave this machine, and the errors of its scripts."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    away: list[str] = []
    context.route(
        lambda url: not url.startswith(("http://127.0.0.1:", "data:", "blob:")),
        lambda route: (away.append(route.request.url), route.abort()),
    )
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE_MS)
    yield opened, away
    context.close()


def test_the_asset_graph_shows_the_tables_and_the_model(platform: Platform, page):
    shown, _ = page
    shown.goto(f"{platform.dagster}/asset-groups", timeout=PATIENCE_MS)
    # Groups are drawn first; each says its name.
    for group in ("bronze", "silver", "gold", "monitoring"):
        expect(shown.get_by_text(group, exact=True).first).to_be_visible(timeout=PATIENCE_MS)


def test_the_gold_group_draws_its_assets(platform: Platform, page):
    shown, _ = page
    shown.set_viewport_size({"width": 2600, "height": 1800})  # only what is in view is drawn
    shown.goto(f"{platform.dagster}/locations/__repository__@fx_assets/asset-groups/gold/lineage", timeout=PATIENCE_MS)
    for asset in ("market_features", "news_signals", "labels"):
        expect(shown.get_by_text(asset).first).to_be_visible(timeout=PATIENCE_MS)


def test_a_table_shows_its_rows_and_columns(platform: Platform, page):
    shown, _ = page
    shown.goto(f"{platform.dagster}/assets/gold/features?view=overview", timeout=PATIENCE_MS)
    expect(shown.get_by_text("rsi_14").first).to_be_attached(timeout=PATIENCE_MS)


def test_the_documentation_lists_every_operation_without_the_internet(platform: Platform, page):
    shown, away = page
    shown.goto(f"{platform.serving}/docs", timeout=PATIENCE_MS)
    for operation in ("/predict", "/feedback", "/traffic", "/rollouts", "/health", "/drift/status"):
        path = shown.locator(".opblock-summary-path", has_text=operation).first
        expect(path).to_be_visible(timeout=PATIENCE_MS)
    assert away == []


def test_a_prediction_can_be_tried_on_the_page(platform: Platform, page):
    shown, _ = page
    shown.goto(f"{platform.serving}/docs", timeout=PATIENCE_MS)
    block = shown.locator(".opblock-post").filter(has=shown.locator("[data-path='/predict']")).first
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    block.locator("textarea.body-param__text").fill('{"instrument": "GBP_USD"}')
    block.get_by_role("button", name="Execute").click()
    answer = block.locator(".live-responses-table .microlight, .live-responses-table pre")
    expect(answer.first).to_contain_text('"model_version": "2"', timeout=PATIENCE_MS)

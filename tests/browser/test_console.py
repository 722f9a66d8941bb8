"""The operator console in a real browser, on a real service: a rollout watched, paused, approved, aborted, rolled back.

Set FX_TEST_SCREENSHOTS to a folder, docs/images for example, to keep the pictures.
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect

from fx_serving.access import tokens
from fx_serving.client.files import atomic_write
from fx_serving.client.home import Stores
from fx_serving.state import open_state
from tests.servers.serving import Service, Traffic, make_bundle, publish_features, start_service, wait_until

pytestmark = pytest.mark.server

KEPT = "FX_TEST_SCREENSHOTS"
WIDE, HEIGHT = 1180, 1400
NARROW, LOW = 360, 760
LARGEST = 400_000  # bytes of a picture in docs/images
COLOURS = 128  # of its palette: a third of the bytes
PATIENCE_MS = 30_000
MODEL = "move_60m"
POLICY = {
    "steps": [
        {"weight": 25, "window_s": 1},
        {"weight": 50, "window_s": 600, "approval": True},
        {"weight": 100, "window_s": 1},
    ],
    "min_requests": 5,
}
DRIFT = {
    "model": MODEL,
    "version": "1",
    "session": "2022-03-04",
    "level": "minor",
    "max_psi": 0.12,
    "features": {"rsi_14": {"psi": 0.12, "level": "minor"}, "atr_14": {"psi": 0.01, "level": "none"}},
}


expect.set_options(timeout=PATIENCE_MS)  # a rollout takes its time on a busy machine


class Console:
    """A page of the console; whatever it asked another host for, and whatever its scripts complained of."""

    def __init__(self, browser: Browser, url: str, width: int = WIDE, height: int = HEIGHT) -> None:
        self.url = url
        self.context = browser.new_context(
            viewport={"width": width, "height": height},
            reduced_motion="reduce",
            device_scale_factor=2 if width < 400 else 1,
        )
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.page.on("request", self._asked)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(url)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(self.url):
            self.complaints.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def button(self, order: str) -> Locator:
        return self.page.locator(f"button[data-order={order}]").first

    def badge(self, text: str) -> Locator:
        return self.page.locator("#rollouts .badge", has_text=text).first

    def order(self, order: str, reason: str) -> None:
        """Press a button, give the reason, confirm."""
        self.button(order).click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        dialog.get_by_label("Reason").fill(reason)
        dialog.locator("#ask-yes").click()
        expect(dialog).to_be_hidden()

    def keep(self, name: str, folder: Path) -> None:
        """A picture of what is shown, small enough for the repository."""
        picture = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB").quantize(COLOURS)
        path = Path(os.environ.get(KEPT) or folder) / name
        picture.save(path, optimize=True)
        assert path.stat().st_size < LARGEST


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with version 1 deployed, and two more to roll out."""
    home = tmp_path_factory.mktemp("console")
    stores = Stores(home)
    publish_features(stores)
    for version in ("1", "2", "3"):
        make_bundle(stores, version)
    atomic_write(stores.drift / f"{MODEL}.json", msgspec.json.encode(DRIFT))
    with start_service(home, policy=POLICY) as started:
        started.deploy("1")
        yield started


@pytest.fixture
def console(browser: Browser, service: Service) -> Iterator[Console]:
    shown = Console(browser, service.url)
    yield shown
    shown.context.close()
    assert shown.complaints == []


@pytest.fixture
def waiting(service: Service) -> Iterator[str]:
    """A rollout of version 2 that has passed its first step and waits for an approval; ended afterwards."""
    started = service.client.start_rollout(MODEL, "2", reason="a try")["id"]
    with Traffic(service.url, threads=1, pause_s=0.01):
        wait_until(lambda: service.client.rollout(started)["awaiting"] == "approval")
        yield started
    if service.client.rollout(started)["finished_at"] is None:
        service.client.abort_rollout(started)
    wait_until(lambda: service.sidecar_pids() == [])


def event(service: Service, id: str, what: str) -> dict[str, Any]:
    return next(found for found in reversed(service.client.rollout(id)["events"]) if found["what"].startswith(what))


def test_a_rollout_is_watched_paused_resumed_approved_and_aborted(service: Service, console: Console, tmp_path: Path):
    shown = console.page
    expect(shown.locator("#chips")).to_contain_text("live")
    expect(shown.locator("#traffic")).to_contain_text("blue 100 %")
    expect(shown.locator("#rollouts")).to_contain_text("No rollout runs")
    expect(shown.locator("#drift")).to_contain_text("rsi_14 0.12")
    expect(shown.locator("#health")).to_contain_text("controller")
    id = service.client.start_rollout(MODEL, "2", reason="a better one")["id"]
    with Traffic(service.url, threads=1, pause_s=0.01):
        title = shown.get_by_role("heading", name=f"{MODEL}: version 1 to 2")
        expect(title).to_be_visible()
        expect(console.badge("waits for an approval")).to_be_visible()
        expect(shown.locator(".ladder li", has_text="25 %")).to_contain_text("now")
        gates = shown.get_by_role("region", name="Gates of")
        expect(gates.get_by_role("row", name="99th percentile")).to_contain_text("pass")
        expect(shown.locator("#traffic")).to_contain_text("green 25 %")
        expect(shown.locator("#said")).to_contain_text("waits for an approval")

        console.order("pause", "look closer")
        expect(console.badge("paused")).to_be_visible()
        assert service.client.rollout(id)["paused"]
        assert event(service, id, "paused")["why"] == "look closer"
        console.order("resume", "")
        expect(console.button("pause")).to_be_visible()
        expect(console.badge("waits for an approval")).to_be_visible()
        console.order("approve", "looks good")
        expect(shown.locator("#traffic")).to_contain_text("green 50 %")
        expect(shown.locator(".ladder li", has_text="25 %")).to_contain_text("passed")
        expect(shown.locator(".ladder li[aria-current=step]")).to_contain_text("50 %")
        wait_until(lambda: len(service.client.series(MODEL)["samples"]) > 10)
        shown.locator("#charts details summary").first.click()
        expect(shown.locator("#charts tbody tr", has_text="green").first).to_be_visible()
        shown.locator("#charts details summary").first.click()
        shown.evaluate("scrollTo(0, 0)")
        console.keep("console-rollout.png", tmp_path)

        console.button("abort").click()
        expect(shown.get_by_role("dialog")).to_contain_text("all traffic goes back")
        shown.set_viewport_size({"width": WIDE, "height": LOW})
        console.keep("console-ask.png", tmp_path)
        shown.set_viewport_size({"width": WIDE, "height": HEIGHT})
        shown.keyboard.press("Escape")
        expect(shown.get_by_role("dialog")).to_be_hidden()
        assert service.client.rollout(id)["state"] == "canary"
        console.order("abort", "<img src=x onerror=alert(1)> not today")
        finished = shown.get_by_role("region", name="Finished rollouts")
        expect(finished.get_by_role("row", name=f"{MODEL} 1 to 2").first).to_contain_text("aborted")
    assert service.client.rollout(id)["state"] == "aborted"
    assert event(service, id, "aborted")["actor"] == "local"
    expect(shown.locator("#traffic")).to_contain_text("blue 100 %")
    expect(shown.locator("#audit")).to_contain_text("<img src=x onerror=alert(1)> not today")
    shown.get_by_role("button", name="Check the trail").click()
    expect(shown.locator("#said")).to_contain_text("The trail is whole")


def test_the_traffic_is_set_by_hand(service: Service, console: Console, waiting: str):
    shown = console.page
    console.button("share").click()
    dialog = shown.get_by_role("dialog")
    dialog.get_by_label("Share of the candidate").fill("101")
    dialog.locator("#ask-yes").click()
    expect(dialog).to_be_visible()  # the browser refuses what is no share
    dialog.get_by_label("Share of the candidate").fill("40")
    dialog.locator("#ask-yes").click()
    expect(shown.locator("#traffic")).to_contain_text("green 40 %")
    assert service.client.rollout(waiting)["paused"]


def test_what_the_service_refuses_is_said(service: Service, console: Console, waiting: str):
    expect(console.button("approve")).to_be_visible()
    console.button("approve").click()
    service.client.abort_rollout(waiting)
    console.page.locator("#ask-yes").click()
    expect(console.page.get_by_role("alert")).to_contain_text("is aborted already")
    # The browser itself notes every refused request.
    console.complaints[:] = [text for text in console.complaints if "status of 409" not in text]


def focused(page: Page, name: str) -> str | None:
    return page.evaluate(f"document.activeElement && document.activeElement.dataset.{name} || null")


def test_the_keyboard_alone_pauses_a_rollout_and_keeps_its_place(service: Service, console: Console, waiting: str):
    shown = console.page
    expect(console.button("pause")).to_be_visible()
    for _ in range(60):
        shown.keyboard.press("Tab")
        if focused(shown, "order") == "pause":
            break
    assert focused(shown, "order") == "pause"
    shown.wait_for_timeout(2500)  # the page is brought up to date meanwhile
    assert focused(shown, "order") == "pause"
    shown.keyboard.press("Enter")
    expect(shown.get_by_role("dialog")).to_be_visible()
    shown.keyboard.type("by keyboard")
    shown.keyboard.press("Enter")
    expect(console.badge("paused")).to_be_visible()
    assert event(service, waiting, "paused")["why"] == "by keyboard"
    wait_until(lambda: shown.evaluate("document.activeElement.id") == f"title-{waiting}")


def test_it_reads_well_on_a_phone(browser: Browser, service: Service, waiting: str, tmp_path: Path):
    phone = Console(browser, service.url, NARROW, LOW)
    shown = phone.page
    expect(phone.button("approve")).to_be_visible()
    expect(shown.locator("#charts svg").first).to_be_visible()
    assert shown.evaluate("document.documentElement.scrollWidth") <= NARROW
    small = shown.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.textContent.trim() && e.getClientRects().length "
        "&& parseFloat(getComputedStyle(e).fontSize) < 12.9).map(e => e.outerHTML.slice(0, 80))"
    )
    assert small == []
    low = shown.evaluate(
        "[...document.querySelectorAll('button')].filter(e => e.getClientRects().length && e.offsetHeight < 44)"
        ".map(e => e.textContent)"
    )
    assert low == []
    unnamed = shown.evaluate(
        "[...document.querySelectorAll('button, input, svg[role=img], [role=region]')].filter(e => "
        "e.getClientRects().length && !(e.getAttribute('aria-label') || e.textContent.trim() || e.labels?.length))"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert unnamed == []
    phone.keep("console-phone.png", tmp_path)
    phone.button("approve").click()
    box = shown.get_by_role("dialog").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= NARROW
    phone.context.close()
    assert phone.complaints == []


CONTRAST = """() => {
  const numbers = (c) => c.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(e).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.getClientRects().length || ![...e.childNodes].some(n => n.nodeType === 3 && n.nodeValue.trim())) continue;
    const a = light(numbers(getComputedStyle(e).color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) bad.push(`${e.tagName} ${e.className} ${e.textContent.slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(console: Console, waiting: str, scheme: Any):
    console.page.emulate_media(color_scheme=scheme)
    expect(console.button("approve")).to_be_visible()
    expect(console.page.locator("#charts svg").first).to_be_visible()
    assert console.page.evaluate(CONTRAST) == []


def test_a_finished_rollout_is_rolled_back(service: Service, console: Console):
    shown = console.page
    started = service.client.start_rollout(MODEL, "3", {"steps": [100], "window_s": 0.5})
    with Traffic(service.url, threads=1, pause_s=0.01):
        done = service.client.wait_rollout(started["id"], 120, poll_s=0.1)
        assert done["state"] == "succeeded", done
        expect(shown.locator("#traffic")).to_contain_text("Version 1 is held ready")
        console.order("rollback", "worse in the afternoon")
        expect(shown.get_by_role("row", name=f"{MODEL} 1 to 3").first).to_contain_text("rolled back")
        wait_until(lambda: service.client.predict("GBP_USD")["model_version"] == "1")
    assert service.client.rollout(started["id"])["state"] == "rolled_back"
    assert event(service, started["id"], "rolled")["why"] == "worse in the afternoon"


def test_the_page_comes_back_after_its_worker_died(browser: Browser, service: Service):
    shown = Console(browser, service.url)
    expect(shown.page.locator("#chips")).to_contain_text("live")
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    before = service.worker_pids()["w0"]
    os.kill(before, 9)
    wait_until(lambda: service.worker_pids()["w0"] != before)
    wait_until(lambda: shown.page.wait_for_timeout(50) or any(url.endswith("/console/events") for url in asked))
    expect(shown.page.locator("#chips .chip").first).to_have_text("live")
    expect(shown.page.locator("#traffic")).to_contain_text("blue 100 %")
    shown.context.close()


def test_a_token_is_asked_for_and_kept_in_the_tab(browser: Browser, tmp_path: Path):
    home = tmp_path / "home"
    stores = Stores(home)
    stores.tokens.parent.mkdir(parents=True)
    state = open_state(stores)
    _, operator = tokens.create(state, "olga", "operate", None)
    _, watcher = tokens.create(state, "walter", "observe", None)
    tokens.publish(stores.tokens, state.tokens())
    state.close()
    with start_service(home) as service:
        console = Console(browser, service.url)
        shown = console.page
        for name, token in (("olga (operate)", operator), ("walter (observe)", watcher)):
            shown.get_by_label("Token").fill("wrong")
            shown.get_by_role("button", name="Use this token").click()
            expect(shown.get_by_role("alert")).to_contain_text("Authorization")
            shown.get_by_label("Token").fill(token)
            shown.get_by_role("button", name="Use this token").click()
            expect(shown.locator("#chips")).to_contain_text(name)
            shown.get_by_role("button", name="Forget the token").click()
            expect(shown.get_by_label("Token")).to_be_visible()
        assert console.context.cookies() == []
        assert shown.evaluate("localStorage.length + sessionStorage.length") == 0
        console.context.close()
        assert [text for text in console.complaints if "status of 401" not in text] == []

"""The model card: what it says, that it needs nothing else, and that the same evidence gives the same files."""

import io
import re
from html.parser import HTMLParser

import pytest
from PIL import Image

from fx_assets.configuration import Label
from fx_assets.models.card import Card, make
from fx_assets.models.card_page import Bullets, Page, Picture, Section, Table, Text, to_html, to_markdown
from fx_assets.models.card_words import candidate, definition, limits, use
from tests.fx_assets.models.cards import APPROVED, content, study

PICTURES = {"folds", "naive", "roc", "lift", "calibration", "distribution"}
PICTURES |= {"importance", "contributions", "equity", "costs"}
VOID = {"meta", "img", "br"}


class Balance(HTMLParser):
    """Tags that are closed in the order they were opened, and every address the page asks for."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.seen: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def card() -> Card:
    return make(content())


def test_the_page_needs_nothing_but_itself(card):
    page = Balance(card.html)
    assert page.open == []
    assert len(page.addresses) == len(PICTURES)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert page.seen.isdisjoint({"script", "link", "iframe"})
    assert "url(" not in card.html


def test_the_card_has_every_picture_and_the_markdown_links_them(card):
    assert set(card.pictures) == PICTURES
    assert set(re.findall(r"\(plots/(\w+)\.png\)", card.markdown)) == PICTURES
    for png in card.pictures.values():
        assert Image.open(io.BytesIO(png)).size == (952, 527)
        assert len(png) < 100_000


def test_the_same_evidence_gives_the_same_files(card, tmp_path):
    again = make(content())
    assert (again.html, again.markdown) == (card.html, card.markdown)
    page = again.write(tmp_path / "card")
    assert page.read_text() == card.html
    written = {str(p.relative_to(tmp_path / "card")) for p in (tmp_path / "card").rglob("*") if p.is_file()}
    assert written == {"model-card.html", "model-card.md", *(f"plots/{name}.png" for name in PICTURES)}


def test_verdict_use_label_data_and_limits_are_said(card):
    for said in (
        "Verdict: **approved**",
        "| sure | 0.61 | > 0.55 | pass | luck |",
        "All 1 gates were passed.",
        "the probability of a larger move",
        "exceeds the median of the last 20 known ones",
        "| instruments | A, B |",
        "AUC at the lower 95 % bound",
        "Calibration error by fold:",
        "2 trials are counted against it (candidates 2)",
        "The champion is version 1 of session 2021-03-31",
        "paired test by day p = ",
        "of the exported model (onnx, ",
        "| training_set_hash | `abab",
        "`fx models reproduce move/2`",
    ):
        assert said in card.markdown, said


def test_a_rejected_version_has_a_card_that_says_why():
    missed = {**APPROVED["gates"][0], "value": None, "passed": False, "reason": "figure is missing"}
    verdict = {**APPROVED, "approved": False, "missed": ["sure"], "gates": [missed]}
    card = make(content(verdict, compared=False))
    assert "Verdict: **rejected**" in card.markdown
    assert "1 of 1 gates were missed." in card.markdown
    assert "| sure | not computable | > 0.55 | **miss** | figure is missing |" in card.markdown
    assert "There was no champion when this version was judged." in card.markdown
    assert '<header class="bad">' in card.html
    assert '<span class="chip bad">miss</span>' in card.html


def test_what_was_not_measured_is_left_out_and_the_rest_stands():
    card = make(content(daily=None, contributions=None, shap={}, gain={}, lineage={}))
    assert set(card.pictures) == PICTURES - {"equity", "contributions", "importance"}
    assert "plots/equity.png" not in card.markdown
    assert Balance(card.html).open == []


def test_text_is_shown_and_never_run():
    page = Page(
        "a<b>",
        "s",
        "rejected",
        False,
        "**all** of `x<y`",
        (("t", "1", "&"),),
        (Section("q", [Text("<script>x</script>"), Bullets(["<i>"]), Table(("h",), [["<u>"]])]),),
    )
    html = to_html(page, {})
    assert Balance(html).seen.isdisjoint({"script", "i", "u"})
    assert "<strong>all</strong> of <code>x&lt;y</code>" in html


def test_columns_of_numbers_stand_to_the_right_and_words_to_the_left():
    table = Table(("a", "b", "c"), [["x", "1,000", ">= 0.5"], ["y", "+0.1 [0.0, 0.2]", "not computable"]])
    html = to_html(Page("t", "s", "b", True, "l", (), (Section("q", [table]),)), {})
    assert '<th scope="col">a</th><th scope="col" class="number">b</th><th scope="col" class="number">c</th>' in html


def test_pictures_side_by_side_and_one_that_is_missing():
    blocks = [Picture("one", "One", "c"), Picture("none", "None", "c"), Picture("two", "Two", "c"), Text("end")]
    page = Page("t", "s", "b", True, "l", (), (Section("q", blocks),))
    html = to_html(page, {"one": b"1", "two": b"2"})
    assert html.count('<div class="pictures">') == 1
    assert html.count("<figure>") == 2
    assert to_markdown(page, {"one": "1.png"}).count("![") == 1


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        (Label(kind="direction", horizon_bars=3), "1 if the close 3 bars later is higher"),
        (Label(kind="large_move", horizon_minutes=60), "over the next 60 minutes exceeds the median"),
        (Label(kind="return", horizon_minutes=30), "log return over the next 30 minutes"),
        (Label(kind="triple_barrier", timeout_bars=8, up=2.0), "2 times the volatility above and 1 times below"),
        (Label(kind="meta", timeout_bars=8), "following `last_sign`"),
    ],
)
def test_every_kind_of_label_has_words(label, meant):
    assert meant in definition(label)
    assert use(label).startswith("To state, at the close of each bar")
    assert len(limits(label, study().figures)) >= 6


def test_a_candidate_is_said_with_its_seeds_and_calibration():
    chosen = {"name": "a", "algorithm": "lightgbm", "rounds": 9, "params": {"z": 1, "b": 2}, "seeds": 3}
    assert candidate(chosen | {"calibration": "platt"}) == (
        "a (lightgbm, 9 rounds, mean of 3 seeds, calibrated (platt): b 2, z 1)"
    )
    assert candidate({"name": "b", "algorithm": "logistic", "calibration": "none"}) == "b (logistic)"

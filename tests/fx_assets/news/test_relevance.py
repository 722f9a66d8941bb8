"""Which currencies a headline is about: by words as people write them, and not by look-alikes."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.news import ENTITIES, RELEVANCE, instrument_entities, relevance
from fx_assets.news.entities import ALIASES, CURRENCIES, PHRASES
from fx_assets.synthetic.news import DOWN, QUIET, UP, WRITTEN_ABOUT


def about(headline: str) -> dict[str, float]:
    """The entities a headline is about, and how much."""
    return {entity: float(weight) for entity, weight in zip(ENTITIES, relevance([headline])[0], strict=True) if weight}


@pytest.mark.parametrize(
    ("headline", "expected"),
    [
        ("Cable slips below 1.30", {"GBP": 1.0}),
        ("Loonie firms as crude oil climbs", {"CAD": 1.0, "NOK": 0.3, "OIL": 1.0}),
        ("Kiwi drops after RBNZ holds rates", {"NZD": 1.0}),
        ("Greenback eases before Fed minutes", {"USD": 1.0}),
        ("Aussie dollar steadies", {"AUD": 1.0}),
        ("Canadian dollar and Swiss franc gain", {"CAD": 1.0, "CHF": 1.0}),
        ("ECB's Lagarde sees no rush to cut rates", {"EUR": 0.9}),
        ("BoEs Pill: momentum is stronger", {"GBP": 0.9}),
        ("Bank of Japan keeps policy steady", {"JPY": 0.9}),
        ("U.S. nonfarm payrolls beat forecasts", {"USD": 0.8}),
        ("German Ifo index falls", {"EUR": 0.8}),
        ("EUR/USD rises to a week's high", {"EUR": 1.0}),
        ("EURUSD falls as dollar gains", {"EUR": 1.0, "USD": 1.0}),
        ("Gold hits record, silver follows", {"XAU": 1.0, "XAG": 1.0}),
        ("S & P 500 ends at record", {"SPX": 1.0}),
        ("S&P 500 ends at record", {"SPX": 1.0}),
        ("Wall Street slides", {"SPX": 1.0}),
        ("Norges Bank surprises with a hike", {"NOK": 0.9}),
        ("Turkish lira tumbles, TRY at record low", {"TRY": 1.0}),
        ("Banxico cuts; Mexican peso flat", {"MXN": 1.0}),
        ("South African rand firms", {"ZAR": 1.0}),
        ("PBoC lets the yuan slip", {"CNH": 1.0}),
        ("Riksbank and the Swedish krona", {"SEK": 1.0}),
        ("Singapore dollar policy: MAS policy unchanged", {"SGD": 1.0}),
        ("Bitcoin and ether rally", {"BTC": 1.0, "ETH": 1.0}),
        ("€ at two-week high", {"EUR": 1.0}),
        ("$ slips vs yen", {"USD": 1.0, "JPY": 1.0}),
        ("£ falls after weak data", {"GBP": 1.0}),
        ("Investors sell the ¥", {"JPY": 1.0}),
        ("€/$ at 1.10", {"EUR": 1.0}),
        ("'$' up, shares down", {"USD": 1.0, "SPX": 0.5}),
        ("Payrolls beat", {"USD": 0.8}),
        ("Canadian payrolls beat", {"CAD": 0.8}),
        ("Powell Says Inflation Is Too High", {"USD": 0.9}),
        ("Bailey: rates may rise", {"GBP": 0.9}),
        ("Turkey inflation hits 20-year high", {"TRY": 0.5}),
        ("Cable One-Month High", {"GBP": 1.0}),
        ("Euro hits 2024 low", {"EUR": 1.0}),
        ("Brent tops $90", {"NOK": 0.3, "OIL": 1.0}),
    ],
)
def test_what_headlines_are_about(headline, expected):
    assert about(headline) == expected


@pytest.mark.parametrize(
    "headline",
    [
        "They told us to try again",
        "Hong Kong dollar peg holds",
        "Egyptian pound devalued",
        "Gold medal for the swimmer",
        "A silver lining for shoppers",
        "Cable TV loses subscribers",
        "Voters are fed up",
        "Rand Paul objects",
        "Olive oil is dear",
        "WORKERS TRY TO FORM A UNION",
        "RBI MPC decision today",
        "Turkey prices soar ahead of Thanksgiving",
        "Butterball recalls frozen Turkey products",
        "How to roast a Turkey with cranberry sauce",
        "Powell Industries beats",
        "Bailey Brands files for bankruptcy",
        "POWELL INDUSTRIES INC. reports",
        "Oil of Olay",
        "Essential oil startup",
        "Brent Spence bridge",
        "Euro 2024 final",
        "UEFA picks host of the next Euro",
        "Cable One",
        "Silver surfer movie",
        "Dollar Shave Club",
        "Five-dollar footlongs",
        "Apple Dow component",
        "A loan of $5 million",
        "Costs 5 $ or 5€, A$ 7 and $TSLA, £1bn, ¥ 100",
        "",
        "미국 증시",
    ],
)
def test_look_alikes_are_about_nothing(headline):
    assert about(headline) == {}


def test_every_phrase_is_found_and_every_weight_is_a_share():
    for entity, lines in PHRASES.items():
        assert entity in ENTITIES
        for weight, line in lines:
            assert 0 < weight <= 1
            for phrase in line.split("|"):
                found = about(f"x {phrase.strip()} x")
                # A phrase may hold a stronger one of the same entity; it never counts for less.
                assert found.get(entity, 0) >= weight, phrase
    assert {column.removeprefix("relevance_") for column in RELEVANCE} == set(ENTITIES)


@pytest.mark.parametrize("currency", sorted(WRITTEN_ABOUT))
def test_headlines_of_the_made_up_market_are_about_their_currency_and_no_other(currency):
    country, name, bank = WRITTEN_ABOUT[currency]
    for text in (*UP, *DOWN, *QUIET):
        found = about(text.format(country=country, currency=name, bank=bank))
        assert set(found) == {currency}, text


@given(st.lists(st.text(max_size=60), max_size=8), st.permutations(range(8)))
def test_any_text_has_bounded_relevance_of_its_own(texts, order):
    found = relevance(texts)
    assert found.shape == (len(texts), len(ENTITIES))
    assert ((found >= 0) & (found <= 1)).all()
    order = [i for i in order if i < len(texts)]
    assert np.array_equal(relevance([texts[i] for i in order]), found[order])


def test_sample_headlines_name_what_they_are_about(sample_headlines):
    frame = pd.DataFrame(relevance(sample_headlines["headline"]), columns=list(ENTITIES))
    assert frame["SPX"].gt(0).mean() > 0.6  # the sample was collected by words of the share market
    fed = sample_headlines["headline"].str.contains(r"\bFed\b")
    assert (frame["USD"].to_numpy()[fed.to_numpy()] >= 0.9).all()
    assert fed.sum() > 100


def test_instruments_and_their_entities():
    assert instrument_entities("GBP_USD") == ("GBP", "USD")
    assert instrument_entities("EURUSD") == ("EUR", "USD")
    assert instrument_entities("SPX500_USD") == ("SPX", "USD")
    assert instrument_entities("XAU_USD") == ("XAU", "USD")
    assert instrument_entities("BTC") == ("BTC", "")
    assert set(ALIASES.values()) <= set(ENTITIES)
    assert set(CURRENCIES) <= set(ENTITIES)

"""Labelled headlines made from templates: what is said of each company follows from the verb beside it."""

import random

import pytest

from fx_assets.sentiment.labelled import Labelled

COMPANIES = [f"{a}{b}" for a in ("Al", "Bor", "Cen", "Dor", "Em", "Fal", "Gra") for b in ("tex", "nia", "dex", "mar")]
VERBS = {
    1: ("soars", "jumps on profit", "beats estimates", "wins an order"),
    -1: ("plunges", "falls on weak sales", "misses estimates", "warns of losses"),
    0: ("appoints a chairman", "holds its meeting", "moves to Oslo", "names an auditor"),
}


def made(rows: int, entities: bool, seed: int = 1) -> Labelled:
    """Two companies a headline; with entities, two rows of one text whose labels mostly differ."""
    chance = random.Random(seed)
    texts, labels, about = [], [], []
    while len(texts) < rows:
        first, second = chance.sample(COMPANIES, 2)
        one, other = chance.choice((-1, 0, 1)), chance.choice((-1, 0, 1))
        if entities:
            text = f"{first} {chance.choice(VERBS[one])}; {second} {chance.choice(VERBS[other])}"
            texts += [text, text]
            labels += [one, other]
            about += [first, second]
        else:
            texts.append(f"{first} {chance.choice(VERBS[one])} in week {len(texts)}")
            labels.append(one)
    return Labelled("made.csv", texts, labels, about if entities else None)


@pytest.fixture(scope="session")
def plain_rows() -> Labelled:
    """300 headlines, each about one company."""
    return made(300, entities=False)


@pytest.fixture(scope="session")
def entity_rows() -> Labelled:
    """600 rows, two for each headline."""
    return made(600, entities=True)

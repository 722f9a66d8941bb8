"""How many headlines a second the scorers manage, and how often they are right on labelled ones.

With FX_BENCH_DATA, a folder that holds labelled/*.csv.gz, the labelled file is used; else only the sample's headlines
are scored. Times are CPU seconds of the process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.report import Figure, median_s
from fx_assets.sentiment.base import Scorer

SECTION = "sentiment"
TIMES = 7


def sample_headlines() -> list[str]:
    """The headlines of the sample."""
    with files("fx_assets.sample").joinpath("news.parquet").open("rb") as file:
        return pd.read_parquet(file)["headline"].astype(str).tolist()


def labelled_files() -> list[Path]:
    """Labelled files of the benchmark's folder, if there is one."""
    folder = os.environ.get("FX_BENCH_DATA")
    return sorted((Path(folder) / "labelled").glob("*.csv.gz")) if folder else []


def measure() -> Iterator[Figure]:
    """Rates of the lexicon and of VADER's own code; accuracy and training where there are labels."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    from fx_assets.sentiment.lexicon import LexiconScorer

    found = labelled_files()
    texts = _texts(found[0]) if found else sample_headlines()
    kind = f"{len(texts)} headlines of {found[0].name if found else 'the sample'}"
    fresh = median_s(lambda: _seconds(LexiconScorer(), texts), TIMES)
    scorer = LexiconScorer()
    scorer.score(texts)
    known = median_s(lambda: _seconds(scorer, texts), TIMES)
    analyzer = SentimentIntensityAnalyzer()
    original = median_s(lambda: _original(analyzer, texts), TIMES)
    yield Figure(SECTION, "lexicon, words not met before", len(texts) / fresh, "headlines/s", f"{kind}, one thread")
    yield Figure(SECTION, "lexicon", len(texts) / known, "headlines/s", f"{kind}, one thread")
    yield Figure(SECTION, "vaderSentiment", len(texts) / original, "headlines/s", f"{kind}, one thread")
    for file in found:
        yield from _on_labels(file)


def _on_labels(file: Path) -> Iterator[Figure]:
    from fx_assets.sentiment.evaluation import evaluate
    from fx_assets.sentiment.labelled import read_labelled
    from fx_assets.sentiment.lexicon import default_lexicon
    from fx_assets.sentiment.linear import LinearScorer
    from fx_assets.sentiment.training import train

    data = read_labelled(file)
    found = evaluate(default_lexicon(), data)
    how = f"{found['n']} rows of {file.name}"
    yield Figure(SECTION, "vader, accuracy", 100 * found["vader"]["accuracy"], "%", how)
    yield Figure(SECTION, "lexicon, accuracy", 100 * found["accuracy"], "%", how)
    started = time.process_time()
    model, report = train(data)
    seconds = time.process_time() - started
    folds = report["cross_validation"]
    spread = f"{how}; 5 folds by text, standard error {100 * folds['standard_error']:.2f}"
    yield Figure(SECTION, "linear, accuracy", 100 * folds["accuracy"], "%", spread)
    yield Figure(SECTION, "linear, training", seconds, "s", f"{how}, with cross-validation")
    texts = data.texts[:4000]
    scorer = LinearScorer(model)
    rate = len(texts) / median_s(lambda: _seconds(scorer, texts), 3)
    yield Figure(SECTION, "linear", rate, "headlines/s", f"{len(texts)} headlines of {file.name}, one thread")


def _texts(file: Path) -> list[str]:
    from fx_assets.sentiment.labelled import read_labelled

    return list(dict.fromkeys(read_labelled(file).texts))


def _seconds(scorer: Scorer, texts: Sequence[str]) -> float:
    started = time.process_time()
    scorer.score(texts)
    return time.process_time() - started


def _original(analyzer: Any, texts: Sequence[str]) -> float:
    started = time.process_time()
    for text in texts:
        analyzer.polarity_scores(text)
    return time.process_time() - started

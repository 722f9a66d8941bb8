"""A transformer where one can be had, else the lexicon: what failed and how to mend it is logged, never raised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fx_assets.sentiment.base import DEFAULT_MODELS, Scorer
from fx_assets.sentiment.hub import Unusable

_log = logging.getLogger(__name__)
EXTRA = "Install it with `pip install 'fx-platform[transformers]'`"


class TransformerOrLexicon:
    """Scores with a transformer until its memory runs out even for one text; from then on with the lexicon.

    name and version are those of what scores now: read them after scoring.
    """

    def __init__(self, scorer: Scorer):
        self._scorer = scorer

    @property
    def name(self) -> str:
        """finbert, fingpt, or lexicon after a fall-back."""
        return self._scorer.name

    @property
    def version(self) -> str:
        """Name and content hash of what scores."""
        return self._scorer.version

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n,) in [-1, 1]; 0 for an empty or missing text."""
        return self._within_memory(lambda scorer: scorer.score(texts))

    def classify(self, texts: Sequence[str], entities: Sequence[str] | None = None) -> np.ndarray:
        """int8 (n,): -1, 0 or 1."""
        return self._within_memory(lambda scorer: scorer.classify(texts, entities))

    def _within_memory(self, ask: Callable[[Scorer], np.ndarray]) -> np.ndarray:
        while True:
            try:
                return ask(self._scorer)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                batch = getattr(self._scorer, "batch", 1)
                if batch > 1:
                    setattr(self._scorer, "batch", batch // 2)  # noqa: B010 (no part of the protocol)
                    _log.warning("%s: out of memory with %d texts at once; trying %d", self.name, batch, batch // 2)
                    continue
                self._scorer = _instead(
                    self.name, Unusable("out of memory with one text at once", "Set sentiment.device to cpu")
                )


def transformer_or_lexicon(name: str, model: str | None, device: str, batch: int) -> TransformerOrLexicon:
    """finbert or fingpt from a folder or the hub; the lexicon with a warning if that fails for any outside reason."""
    source = model or DEFAULT_MODELS[name]
    if model and (Path(model).expanduser().exists() or model.startswith(("/", ".", "~"))):
        source = str(Path(model).expanduser())
    try:
        return TransformerOrLexicon(_load(name, source, device, batch))
    except Unusable as problem:
        return TransformerOrLexicon(_instead(name, problem))
    except ImportError as error:
        problem = Unusable(f"package {error.name or error} is missing", EXTRA)
    except Exception as error:  # a model's files are from outside: what their readers raise is of many kinds
        if out_of_memory(error):
            problem = Unusable(f"out of memory while loading {source}", "Choose a smaller model, or device cpu")
        else:
            problem = _not_loaded(source, error)
    return TransformerOrLexicon(_instead(name, problem))


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out: torch has several ways to."""
    return isinstance(error, MemoryError) or any(
        text in str(error).lower() for text in ("out of memory", "can't allocate memory", "not enough memory")
    )


def _load(name: str, source: str, device: str, batch: int) -> Scorer:
    # The missing package is named here, not deep inside transformers.
    import torch  # noqa: F401  # pyright: ignore[reportMissingImports]  # an extra
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if name == "finbert":
        from fx_assets.sentiment.classifier import ClassifierScorer

        return ClassifierScorer(name, source, device, batch)
    from fx_assets.sentiment.generator import GeneratorScorer

    return GeneratorScorer(name, source, device, batch)


def _not_loaded(source: str, error: Exception) -> Unusable:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if source.startswith(("/", ".", "~")):
        where = "Give a folder that holds config.json, the tokenizer and the weights"
        what = "there is no such folder" if not Path(source).exists() else first
        return Unusable(f"model {source} cannot be loaded: {what}", f"{where} as sentiment.model in data.yaml")
    return Unusable(
        f"model {source} cannot be loaded: {first}",
        f"Check its name and the network, or fetch it once with `hf download {source}` (an adapter needs `pip install "
        "peft` too), or give a local folder as sentiment.model in data.yaml",
    )


def _instead(name: str, problem: Unusable) -> Scorer:
    from fx_assets.sentiment.lexicon import default_lexicon

    scorer = default_lexicon()
    told = (name, problem.what, problem.remedy, scorer.version)
    _log.warning("%s cannot score: %s. %s. Scoring with %s instead.", *told)
    return scorer

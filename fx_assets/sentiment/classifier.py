"""FinBERT and its like: a transformer that puts a text into classes. Loading and scoring; no fall-back here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.sentiment.hub import Unusable, content_version, longest, pick_device
from fx_assets.sentiment.labelled import WORDS
from fx_assets.sentiment.shares import SharesScorer


class ClassifierScorer(SharesScorer):
    """P(positive) - P(negative) of a sequence classifier; which output is which is read from its config's id2label."""

    def __init__(self, name: str, model: str, device: str = "auto", batch: int = 32):
        """model: a folder or a hub name. batch: texts at once; may be lowered later.

        Raises Unusable if its labels do not say what they mean or the device is not there, and whatever transformers
        raises if the model is not.
        """
        import torch  # pyright: ignore[reportMissingImports]  # an extra
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.name = name
        self.batch = batch
        self._device = pick_device(device)
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        found = AutoModelForSequenceClassification.from_pretrained(model)
        self._classes = _classes(model, {int(i): str(label) for i, label in found.config.id2label.items()})
        self._length = longest(found.config, self._tokenizer)
        self.version = content_version(name, model, found.config)
        self._model = found.to(torch.device(self._device)).eval()

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n, 3): negative, neutral, positive. Long texts are cut at the model's length."""
        import torch  # pyright: ignore[reportMissingImports]  # an extra

        found = np.zeros((len(texts), 3))
        # Texts of a length together: little padding. Ties keep their order, so a run can be repeated.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            given = self._tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=self._length, return_tensors="pt"
            ).to(self._device)
            with torch.inference_mode():
                logits = self._model(**given).logits.double()
            shares = torch.softmax(logits, dim=-1).cpu().numpy()
            for output, label in self._classes.items():
                found[rows, label + 1] += shares[:, output]
        return found


def _classes(model: str, names: dict[int, str]) -> dict[int, int]:
    """Output number -> -1, 0 or 1."""
    found = {i: WORDS[name.lower()] for i, name in names.items() if name.isalpha() and name.lower() in WORDS}
    if len(found) != len(names) or not {-1, 1} <= set(found.values()):
        raise Unusable(
            f"{model} names its outputs {', '.join(names.values())}, which do not say what is positive and negative",
            "Choose a model of sentiment, or set id2label in its config.json",
        )
    return found

"""FinGPT and its like: a causal language model asked for one of three words. Loading and scoring; no fall-back here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fx_assets.sentiment.base import LABELS
from fx_assets.sentiment.hub import Unusable, content_version, longest, pick_device
from fx_assets.sentiment.shares import SharesScorer

# The form of words that FinGPT's sentiment models were tuned on.
BEFORE = (
    "Instruction: What is the sentiment of this news? "
    "Please choose an answer from {negative/neutral/positive}.\nInput: "
)
AFTER = "\nAnswer:"


class GeneratorScorer(SharesScorer):
    """P(positive) - P(negative), from the log-probabilities of the three words' tokens after the question."""

    def __init__(self, name: str, model: str, device: str = "auto", batch: int = 32):
        """model: a folder or a hub name. batch: texts at once, each asked three times; may be lowered later.

        Raises Unusable if the question does not fit into the model or the device is not there, and whatever
        transformers raises if the model is not.
        """
        import torch  # pyright: ignore[reportMissingImports]  # an extra
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.name = name
        self.batch = batch
        self._device = pick_device(device)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(model)
        found = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
        self._before: list[int] = self._tokenizer(BEFORE)["input_ids"]
        self._after = self._ids(AFTER)
        self._answers = [self._answer(label) for label in LABELS]
        framing = len(self._before) + len(self._after) + max(len(answer) for answer in self._answers)
        self._room = longest(found.config, self._tokenizer) - framing
        if self._room < 8:
            raise Unusable(f"{model} is too short for the question", "Choose a model with a longer context")
        self.version = content_version(name, model, found.config)
        self._model: Any = found.to(torch.device(self._device)).eval()  # pyright: ignore[reportArgumentType]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """float64 (n, 3): the share of each word of LABELS among the three. Long texts are cut at their end."""
        found = np.zeros((len(texts), len(LABELS)))
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            questions = [[*self._before, *self._ids(texts[i])[: self._room], *self._after] for i in rows]
            logs = np.stack([self._log_likelihood(questions, answer) for answer in self._answers], axis=1)
            shares = np.exp(logs - logs.max(axis=1, keepdims=True))
            found[rows] = shares / shares.sum(axis=1, keepdims=True)
        return found

    def _log_likelihood(self, questions: list[list[int]], answer: list[int]) -> np.ndarray:
        """Log-probability of the answer's tokens after each question."""
        import torch  # pyright: ignore[reportMissingImports]  # an extra

        width = max(len(question) for question in questions) + len(answer)
        ids = torch.zeros((len(questions), width), dtype=torch.long)
        seen = torch.zeros_like(ids)
        for row, question in enumerate(questions):  # padded at the end, where a causal model does not look
            whole = [*question, *answer]
            ids[row, : len(whole)] = torch.tensor(whole)
            seen[row, : len(whole)] = 1
        with torch.inference_mode():
            logits = self._model(input_ids=ids.to(self._device), attention_mask=seen.to(self._device)).logits
        found = np.zeros(len(questions))
        for row, question in enumerate(questions):
            first = len(question) - 1  # the logits at a token are about the next one
            logs = torch.log_softmax(logits[row, first : first + len(answer)].double(), dim=-1).cpu()
            found[row] = float(sum(logs[place, token] for place, token in enumerate(answer)))
        return found

    def _ids(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    def _answer(self, label: str) -> list[int]:
        """The label's tokens as they follow the question: with the blank before it, where tokens hold that."""
        whole = self._ids(f"{AFTER} {label}")
        return whole[len(self._after) :] if whole[: len(self._after)] == self._after else self._ids(label)

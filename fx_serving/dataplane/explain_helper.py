"""The process that explains scores: tree SHAP by XGBoost's own prediction contributions.

python -m fx_serving.dataplane.explain_helper --fd N
"""

from __future__ import annotations

import argparse
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Any

import msgspec

from fx_serving.client.bundle import MODEL_FILES, sha256_file
from fx_serving.dataplane import frames
from fx_serving.dataplane.explain import Question, Shares

_HELD = 8


class Models:
    """The models asked about last."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Any] = OrderedDict()

    def answer(self, question: Question) -> Shares:
        """The shares of one row; a note where there are none."""
        try:
            import xgboost
        except ImportError:
            return Shares(note="explanations need the package xgboost, which is not installed here")
        import numpy as np

        found = self._held.get(question.folder)
        if found is None:
            path = Path(question.folder) / MODEL_FILES["xgboost"]
            if not path.is_file():
                return Shares(note="this version was exported without its native model, which explanations need")
            if not _listed(path):
                return Shares(note="the native model is not the one its manifest lists; export the version again")
            found = xgboost.Booster({"nthread": 1}, model_file=str(path))
            found.feature_names = None
            self._held[question.folder] = found
            if len(self._held) > _HELD:
                self._held.popitem(last=False)
        row = np.array([question.row], np.float32)
        shares = found.predict(xgboost.DMatrix(row, nthread=1), pred_contribs=True)[0].tolist()
        return Shares(shares[-1], shares[:-1])


def _listed(path: Path) -> bool:
    listed = msgspec.json.decode((path.parent / "manifest.json").read_bytes())["files"].get(path.name)
    return listed is not None and listed == sha256_file(path)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True)
    link = socket.socket(fileno=parser.parse_args().fd)
    models, parser_of_frames = Models(), frames.Frames()
    while data := link.recv(1 << 16):  # nothing: the worker is gone
        for number, payload in parser_of_frames.feed(data):
            try:
                shares = models.answer(msgspec.json.decode(payload, type=Question))
            except Exception as error:  # whatever the engine raises is a note, not the helper's end
                shares = Shares(note=f"no explanation: {type(error).__name__}: {str(error)[:300]}")
            link.sendall(frames.question(number, msgspec.json.encode(shares)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

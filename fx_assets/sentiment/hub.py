"""What the transformer scorers share: the device, the length, the version, and why a model cannot be used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

# Headlines are short; longer texts are cut here even if the model could take more.
LONGEST = 512


class Unusable(Exception):
    """A transformer that cannot score: what is wrong, and how to mend it."""

    def __init__(self, what: str, remedy: str):
        super().__init__(what)
        self.what, self.remedy = what, remedy


def pick_device(wanted: str) -> str:
    """auto: a CUDA card, else Apple's, else the processor. Unusable if a named one is not there."""
    import torch  # pyright: ignore[reportMissingImports]  # an extra

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, ok in there.items() if ok)
    if not there.get(wanted, False):
        raise Unusable(f"device {wanted} is not there", "Set sentiment.device in data.yaml to auto or cpu")
    return wanted


def longest(config: Any, tokenizer: Any) -> int:
    """How many tokens the model takes, at most LONGEST."""
    lengths = [getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")]
    # RoBERTa keeps two positions for itself; its tokenizer knows.
    return int(min([LONGEST, tokenizer.model_max_length, *[length for length in lengths if length]]))


def content_version(name: str, model: str, config: Any) -> str:
    """Name and hash: of a folder's files, or of the hub's name and commit."""
    digest = hashlib.sha256()
    folder = Path(model).expanduser()
    if folder.is_dir():
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder)} {path.stat().st_size} ".encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    else:
        digest.update(f"{model} {getattr(config, '_commit_hash', None)}".encode())
    return f"{name}-{digest.hexdigest()[:12]}"

"""What would score under a configuration, as a short string: cheap enough for planning, nothing is loaded."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from fx_assets.sentiment.base import DEFAULT_MODELS, RULES
from fx_assets.sentiment.vocabulary import FILE

if TYPE_CHECKING:
    from fx_assets.configuration.data import Sentiment


def scorer_setting(options: Sentiment) -> str:
    """Name and content of the scorer that is asked for: another string means that scores may differ.

    The hash covers the vocabulary (lexicon, and what linear and a fall-back use) and a linear model's file; a
    transformer is known by its name only.
    """
    try:
        lists = version("vaderSentiment")
    except PackageNotFoundError:
        lists = ""
    content = hashlib.sha256(f"{RULES} {lists} ".encode())
    if options.scorer != "vader":
        content.update(files("fx_assets.sentiment").joinpath(FILE).read_bytes())
    if options.scorer == "linear" and options.model is not None:
        path = Path(options.model).expanduser()
        content.update(path.read_bytes() if path.is_file() else b"missing")
    model = f" {options.model or DEFAULT_MODELS[options.scorer]}" if options.scorer in DEFAULT_MODELS else ""
    return f"{options.scorer}{model} {content.hexdigest()[:12]}"

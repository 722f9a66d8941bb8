"""From configuration to a scorer. What is asked for and cannot be had is replaced by the default, and said so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fx_assets.errors import ConfigError
from fx_assets.sentiment.base import Scorer

if TYPE_CHECKING:
    from fx_assets.configuration.data import Sentiment


def make_scorer(options: Sentiment | None = None) -> Scorer:
    """The scorer that data.yaml's `sentiment` asks for; without options the default lexicon.

    finbert and fingpt fall back to the lexicon with a logged warning where a package, the model or the network is
    missing; the scorer's name then says lexicon.
    Raises ConfigError if linear has no model, DataError if its file cannot be used.
    """
    from fx_assets.sentiment.lexicon import default_lexicon, plain_vader

    wanted = "lexicon" if options is None else options.scorer
    if options is None or wanted == "lexicon":
        return default_lexicon()
    if wanted == "vader":
        return plain_vader()
    if wanted == "linear":
        from fx_assets.sentiment.linear import load_linear

        if options.model is None:
            raise ConfigError(
                "data.yaml: sentiment.model: missing, and scorer linear needs one. Train it with "
                "`fx sentiment train FILE --out MODEL` and give its path."
            )
        return load_linear(Path(options.model).expanduser())
    from fx_assets.sentiment.fallback import transformer_or_lexicon

    return transformer_or_lexicon(wanted, options.model, options.device, options.batch)

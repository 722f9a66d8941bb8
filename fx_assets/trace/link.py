"""What a trace consists of: links, each with what was found and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN = 3  # problems of one link that are told; the others are counted


@dataclass(frozen=True)
class Link:
    """One step of the chain.

    name: what it leads to. words: what was found, in a sentence. facts: the same as plain values, for JSON. problems:
    why it does not hold; empty when it was verified.
    """

    name: str
    words: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[str] = ()

    @property
    def ok(self) -> bool:
        """Whether everything that this link states was verified."""
        return not self.problems

    def told(self) -> list[str]:
        """The first problems, and how many there are beside."""
        rest = len(self.problems) - SHOWN
        return [*self.problems[:SHOWN], *([f"and {rest} more like this"] if rest > 0 else [])]


@dataclass(frozen=True)
class Trace:
    """The chain of one subject, from it down to the sources."""

    subject: str
    links: Sequence[Link]

    @property
    def broken(self) -> list[str]:
        """The names of the links that do not hold."""
        return [link.name for link in self.links if not link.ok]

    def as_json(self) -> dict[str, Any]:
        """Plain values: {subject, ok, broken, links: [{name, ok, words, facts, problems}]}."""
        links = [
            {"name": k.name, "ok": k.ok, "words": k.words, "facts": dict(k.facts), "problems": list(k.problems)}
            for k in self.links
        ]
        return {"subject": self.subject, "ok": not self.broken, "broken": self.broken, "links": links}

"""Credentials in a text, by the forms that their issuers give them."""

import re
from functools import cache

from deploy.scan.reviewed import reviewed

_FORMS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----",
    "AWS key": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "Google key": r"\bAIza[\w-]{35}\b",
    "GitHub token": r"\bgh[opsur]_[A-Za-z0-9]{36,}\b|\bgithub_pat_\w{22,}\b",
    "GitLab token": r"\bglpat-[\w-]{20,}",
    "PyPI token": r"\bpypi-[\w-]{40,}",
    "npm token": r"\bnpm_[A-Za-z0-9]{36}\b",
    "Slack token": r"\bxox[abeoprs]-[\w-]{10,}",
    "Slack address": r"https://hooks\.slack\.com/services/\S*\w",
    "JSON Web Token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    "password in an address": r"://[^\s:/@\"'`]*:(?P<value>[^\s:/?#@\"'`]+)@",
}
# What a template, a shell or a document fills in.
_TEMPLATE = re.compile(r"[{<$*%].*")


@cache
def _examples() -> frozenset[str]:
    return frozenset(map(str, reviewed()["examples"]))


def credentials(text: str) -> list[str]:
    """What kind of credential stands in which line. Never the credential itself: this is printed."""
    found = []
    for kind, form in _FORMS.items():
        for match in re.finditer(form, text):
            value = match.groupdict().get("value") or match[0]
            if value not in _examples() and not _TEMPLATE.fullmatch(value):
                found.append(f"line {text.count(chr(10), 0, match.start()) + 1}: {kind}")
    return sorted(set(found))

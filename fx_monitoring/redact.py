"""Words of others, such as an exception's, without the secrets that stand in addresses: alerts show such words."""

from __future__ import annotations

import re

# Up to the last @: a password that was not escaped may hold one, or a slash.
_CREDENTIALS = re.compile(r"://[^\s'\"<>]+@")
_PARAMETER = re.compile(r"([?&][\w.-]*(?:key|token|secret|passw|pwd|auth|sig)[\w.-]*=)[^&\s'\"<>]+", re.IGNORECASE)
# Services whose whole path is the secret.
_PATH = re.compile(
    r"(://(?:[\w-]+\.)*(?:hooks\.slack\.com|discord(?:app)?\.com|hc-ping\.com)/)[^\s'\"<>:]+", re.IGNORECASE
)


def without_credentials(text: str) -> str:
    """The text with *** for account and password of an address, its secret parameters, or its secret path."""
    return _PATH.sub(r"\1***", _PARAMETER.sub(r"\1***", _CREDENTIALS.sub("://***@", text)))

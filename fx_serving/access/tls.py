"""TLS of the public port: what uvicorn is told, and a check at the start that the files fit."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from fx_serving.config import AccessSettings
from fx_serving.ports import StartError


def uvicorn_options(access: AccessSettings) -> dict[str, Any]:
    """Arguments of uvicorn.Config; none without a certificate.

    A client's certificate is asked for, not demanded, by TLS itself: the controller's own checks come without one, and
    the perimeter refuses everybody else who has none.
    """
    if not access.tls_cert:
        return {}
    options: dict[str, Any] = {"ssl_certfile": access.tls_cert, "ssl_keyfile": access.tls_key}
    if access.tls_client_ca:
        options |= {"ssl_ca_certs": access.tls_client_ca, "ssl_cert_reqs": ssl.CERT_OPTIONAL}
    return options


def check(access: AccessSettings) -> None:
    """Load the files once, so that a wrong one is named before any worker starts. Raises StartError."""
    if not access.tls_cert:
        return
    for name in ("tls_cert", "tls_key", "tls_client_ca"):
        path = getattr(access, name)
        if path and not Path(path).is_file():
            raise StartError(f"access.{name}: {path}: no such file. Give the path of a PEM file.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(access.tls_cert, access.tls_key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise StartError(
            f"access.tls_cert, access.tls_key: cannot be used ({error}). Give a PEM certificate "
            "and its key, unencrypted."
        ) from None
    if access.tls_client_ca:
        try:
            context.load_verify_locations(access.tls_client_ca)
        except (ssl.SSLError, OSError) as error:
            raise StartError(f"access.tls_client_ca: cannot be used ({error}). Give PEM certificates.") from None


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would hang there.
    raise ValueError("the key is encrypted")

"""TLS: a round trip with a certificate, client certificates, and what is refused at the start."""

import ssl
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from fx_serving.access import tls
from fx_serving.access.internal import bearer, write_internal_key
from fx_serving.config import AccessSettings
from fx_serving.ports import StartError
from tests.servers.certificates import certificate, write_key
from tests.servers.perimeter import perimeter_server


@pytest.fixture
def access(tmp_path):
    """Settings with a server certificate."""
    certificate(tmp_path, "server")
    return {"tls_cert": str(tmp_path / "server.crt"), "tls_key": str(tmp_path / "server.key")}


def trusting(tmp_path: Path) -> ssl.SSLContext:
    """A client's context that trusts the server's certificate and no other."""
    return ssl.create_default_context(cafile=str(tmp_path / "server.crt"))


def test_a_round_trip(stores, tmp_path, access):
    with perimeter_server(stores, access=access) as server:
        with httpx.Client(base_url=server.url, verify=trusting(tmp_path)) as client:
            answer = client.post("/rollouts", headers={"Origin": server.url})
            assert answer.json()["name"] == "local"
            assert answer.headers["strict-transport-security"].startswith("max-age=")
        with httpx.Client(base_url=server.url) as client, pytest.raises(httpx.ConnectError):
            client.get("/health")
        with pytest.raises(httpx.HTTPError):
            httpx.get(server.url.replace("https", "http") + "/health")


def test_old_protocols_are_not_spoken(stores, tmp_path, access):
    context = trusting(tmp_path)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with perimeter_server(stores, access=access) as server:
        with server.connect(context) as connection:
            assert isinstance(connection, ssl.SSLSocket)
            assert connection.version() == "TLSv1.2"
        old = trusting(tmp_path)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)):
            server.connect(old)


def test_client_certificates(stores, tmp_path, access):
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "desk", authority)
    certificate(tmp_path, "stranger")
    key = write_internal_key(stores.internal_key)
    settings = {**access, "tls_client_ca": str(tmp_path / "authority.crt")}
    with perimeter_server(stores, access=settings) as server:

        def ask(name: str | None, **headers: str) -> httpx.Response:
            context = trusting(tmp_path)
            if name:
                context.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
            with httpx.Client(base_url=server.url, verify=context) as client:
                return client.get("/traffic", headers=headers)

        assert ask("desk").status_code == 200
        refused = ask(None)
        assert refused.status_code == 403
        assert "certificate" in refused.json()["detail"]
        with pytest.raises(httpx.HTTPError):
            ask("stranger")
        # The service's own checks of a candidate come by the same port and have the internal key instead.
        assert ask(None, Authorization=bearer(key)).status_code == 200


def test_unusable_files_are_named_at_the_start(tmp_path, access):
    tls.check(AccessSettings())
    tls.check(AccessSettings(**access))

    def problem(**changes: str) -> str:
        with pytest.raises(StartError) as error:
            tls.check(AccessSettings(**{**access, **changes}))
        return str(error.value)

    assert "access.tls_key: /nowhere: no such file" in problem(tls_key="/nowhere")
    _, other = certificate(tmp_path, "other")
    assert "tls_cert" in problem(tls_key=str(tmp_path / "other.key"))
    write_key(tmp_path / "secret.key", other, serialization.BestAvailableEncryption(b"x"))
    assert "unencrypted" in problem(tls_cert=str(tmp_path / "other.crt"), tls_key=str(tmp_path / "secret.key"))
    (tmp_path / "text").write_text("no certificate")
    assert "tls_client_ca" in problem(tls_client_ca=str(tmp_path / "text"))

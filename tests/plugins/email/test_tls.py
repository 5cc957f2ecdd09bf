"""Encryption and login against a real SMTP server that insists on both."""

import asyncio
import datetime
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core.sdk import ReconnectNeeded
from core.testing.smtp import Conversation, Sink
from plugins.email import client
from plugins.email.settings import Smtp

MESSAGE = b"Subject: x\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n"


class Keeper:
    """Writes down who logged in and what arrived."""

    def __init__(self):
        self.arrived = []

    async def handle_DATA(self, server, session, envelope):
        self.arrived.append((session.auth_data, envelope.rcpt_tos, envelope.content))
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    assert isinstance(data, LoginPassword)
    known = (data.login, data.password) == (b"shop", b"right")
    return AuthResult(success=known, handled=False, auth_data=data.login)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of localhost that signs itself, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder


def context_of(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@asynccontextmanager
async def listening(made, context=None):
    running = await asyncio.get_running_loop().create_server(
        made, "localhost", 0, family=socket.AF_INET, ssl=context
    )
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()


@asynccontextmanager
async def server(certificate):
    """A server that insists on STARTTLS and on a login."""
    keeper = Keeper()

    def made():
        return SMTP(
            keeper, require_starttls=True, tls_context=context_of(certificate),
            authenticator=authenticate, auth_required=True,
        )  # fmt: skip

    async with listening(made) as port:
        yield port, keeper


def settings(port, **more):
    values = {
        "host": "localhost", "port": port, "username": "shop",
        "password": "right",
    }  # fmt: skip
    return Smtp.model_validate(values | more)


async def test_messages_go_encrypted_after_a_login(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    async with server(certificate) as (port, keeper):
        connection = await client.connect(settings(port))
        for name in ("a", "b"):
            assert await connection.send("s@example.com", f"{name}@example.com", MESSAGE) == "taken"
        await connection.close()
    assert [(who, to) for who, to, _ in keeper.arrived] == [
        (b"shop", ["a@example.com"]), (b"shop", ["b@example.com"]),
    ]  # fmt: skip


async def test_a_connection_that_is_encrypted_from_the_start(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    sink = Sink()
    async with listening(lambda: Conversation(sink), context_of(certificate)) as port:
        nobody = {"username": None, "password": None}
        connection = await client.connect(settings(port, tls="tls", **nobody))
        await connection.send("s@example.com", "a@example.com", MESSAGE)
        await connection.close()
    assert sink.accepted == [("1@x", "a@example.com")]


async def test_a_wrong_password_asks_for_the_merchant(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    async with server(certificate) as (port, _):
        with pytest.raises(ReconnectNeeded, match="user name or password"):
            await client.connect(settings(port, password="wrong"))


async def test_a_certificate_that_nobody_vouches_for_asks_for_the_merchant(certificate):
    async with server(certificate) as (port, keeper):
        with pytest.raises(ReconnectNeeded, match="certificate"):
            await client.connect(settings(port))
    assert keeper.arrived == []

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from holdfast.client import Client, Endpoint, Patience, UnreachableError
from tests.client.scripted import serving

HASTY = Patience(seconds_max=0)
LINE = b'{"id":"1","action":"a"}'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return path


def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


def test_a_certificate_that_is_trusted_by_name_will_do(certificate: Path) -> None:
    with serving(tls=context(certificate)) as server:
        with Client(Endpoint(server.url, ca_file=str(certificate)), HASTY) as client:
            acknowledged = client.send((LINE,))

    assert acknowledged.ids == ("1",)


def test_a_certificate_that_nobody_vouches_for_gets_no_event(certificate: Path) -> None:
    with serving(tls=context(certificate)) as server:
        with pytest.raises(UnreachableError, match="certificate verify failed"):
            with Client(Endpoint(server.url), HASTY) as client:
                client.send((LINE,))

    assert server.requests == []

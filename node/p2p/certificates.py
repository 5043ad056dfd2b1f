"""TLS trust from node keys alone.

A node's Ed25519 key is a certificate authority that issues short-lived leaves for itself. Every node makes the trust
anchor of every member from the member's public key: OpenSSL does not check the signature on a trust anchor, so the
anchor's own signature may be anything, and no certificate has to be handed round. The leaf's signature is checked
twice: by OpenSSL in the handshake, and by us against the member's key.
"""

from __future__ import annotations

import datetime
import ssl
import tempfile
from collections.abc import Callable, Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)
from cryptography.x509.oid import NameOID

LEAF_LIFETIME = datetime.timedelta(hours=48)
CLOCK_SKEW = datetime.timedelta(hours=1)
ANCHOR_FROM = datetime.datetime(2016, 1, 1, tzinfo=datetime.UTC)
ANCHOR_UNTIL = datetime.datetime(2116, 1, 1, tzinfo=datetime.UTC)

IssueLeaf = Callable[[bytes, datetime.datetime], bytes]


class UnknownPeer(Exception):
    """The certificate of a connection is not a member's."""


def _name(node_key: bytes) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node_key.hex())])


def _anchor(node_key: bytes) -> str:
    public = Ed25519PublicKey.from_public_bytes(node_key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(node_key))
        .issuer_name(_name(node_key))
        .public_key(public)
        .serial_number(1)
        .not_valid_before(ANCHOR_FROM)
        .not_valid_after(ANCHOR_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(Ed25519PrivateKey.from_private_bytes(bytes(32)), None)
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def sign_leaf(seed: bytes, public_key: bytes, now: datetime.datetime) -> bytes:
    """Return a short-lived certificate (DER) that the node key with this seed gives another key.

    Args:
        seed: the node key's Ed25519 seed.
        public_key: DER, of the curve P-256.
        now: from when it counts, for `LEAF_LIFETIME`.

    Raises:
        ValueError: no such key.
    """
    authority = Ed25519PrivateKey.from_private_bytes(seed)
    node_key = authority.public_key().public_bytes_raw()
    key = load_der_public_key(public_key)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != ec.SECP256R1.name:
        raise ValueError("a public key of the curve P-256 is expected")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"leaf of {node_key.hex()[:40]}")]))
        .issuer_name(_name(node_key))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, None)
    )
    return certificate.public_bytes(Encoding.DER)


def make_leaf(issue: IssueLeaf, now: datetime.datetime) -> bytes:
    """Return a fresh key with its certificate, as PEM.

    Args:
        issue: gives a certificate (DER) for a public key (DER), as `sign_leaf` does.
        now: from when it counts.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    issued = issue(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), now)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return x509.load_der_x509_certificate(issued).public_bytes(Encoding.PEM) + secret


def make_context(leaf: bytes, members: Iterable[bytes], *, server: bool) -> ssl.SSLContext:
    """Return a TLS 1.3 context that trusts the members' keys.

    Args:
        leaf: what we show, as `make_leaf` returns it.
        members: the node keys that are trusted.
        server: whether it accepts or dials.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if server:
        context.num_tickets = 0  # a resumed session would pass by the trust store
    context.check_hostname = False  # a peer is known by its key, not by where it listens
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata="".join(_anchor(key) for key in sorted(members)))
    with tempfile.NamedTemporaryFile() as file:  # the ssl module reads certificates from files alone; mode 0600
        file.write(leaf)
        file.flush()
        context.load_cert_chain(file.name)
    return context


def watch_handshakes(context: ssl.SSLContext, refused: Callable[[str], None]) -> None:
    """Call `refused(reason)` for every handshake that fails: event loops say nothing of it."""

    class Watched(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                refused(error.reason or str(error))
                raise

    context.sslobject_class = Watched


def peer_key(leaf: bytes | None, members: Iterable[bytes]) -> bytes:
    """Return the node key of the member that issued the leaf (DER) of a connection.

    Raises:
        UnknownPeer: no certificate, or not issued by a member.
    """
    if leaf is None:
        raise UnknownPeer("no certificate")
    certificate = x509.load_der_x509_certificate(leaf)
    issuer = certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    for node_key in members:
        if issuer and issuer[0].value == node_key.hex():
            try:
                key = Ed25519PublicKey.from_public_bytes(node_key)
                key.verify(certificate.signature, certificate.tbs_certificate_bytes)
            except InvalidSignature:
                break
            return node_key
    raise UnknownPeer("a certificate that no member issued")

"""Who a node is: its key, and the certificate by which the trail admits it."""

from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import Problem, RejectedError
from holdfast.ports import Host
from holdfast.proof import ProofError, names, statements
from holdfast.proof.statements import Certificate
from holdfast.regions import signing
from holdfast.regions.signing import SigningKey


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's key and certificate. node: first 128 bits of SHA-256(public key), hex."""

    node: str
    key: SigningKey
    certificate: bytes


class Keyring(Protocol):
    """Where a node's key survives a restart. All calls are durable when they return."""

    def read(self) -> tuple[bytes | None, bytes | None]:
        """The node key's seed (32 bytes) and its certificate; None for what is not there."""

    def write(self, seed: bytes, certificate: bytes | None) -> None:
        """Take a new key. The one before, if any, is set aside, not destroyed."""


def identify(keyring: Keyring, trail: str, trail_key: SigningKey | None, host: Host) -> Identity:
    """The identity kept in the keyring, made and certified where it is not there yet.

    Raises:
        RejectedError: no certificate, and no trail key at hand to make one.
    """
    seed, certificate = keyring.read()
    if seed is None:
        return renew(keyring, trail, trail_key, host)
    key = _node_key(trail, seed)
    if certificate is None or not _certifies(certificate, trail, key):
        certificate = _certify(trail, trail_key, key, host)
        keyring.write(seed, certificate)
    return Identity(names.node_id(key.public), key, certificate)


def renew(keyring: Keyring, trail: str, trail_key: SigningKey | None, host: Host) -> Identity:
    """A new key, and so a new node: for a first start, or when the ledger of the old one cannot go
    on here (a cloned directory, an epoch that cannot be closed).

    Without the trail's key the new key is kept all the same, so that it can be admitted.
    """
    seed = host.random(32)
    key = _node_key(trail, seed)
    if trail_key is None:
        keyring.write(seed, None)
    certificate = _certify(trail, trail_key, key, host)
    keyring.write(seed, certificate)
    return Identity(names.node_id(key.public), key, certificate)


def certify(trail: str, trail_key: SigningKey, node_public: bytes, now_us: int) -> bytes:
    """The note by which the trail admits a node; what `holdfast keys admit` writes."""
    return signing.write(
        Certificate(
            trail_key=trail_key.public,
            node=names.node_id(node_public),
            node_key=node_public,
            certified_us=now_us,
        ),
        names.trail_origin(trail),
        trail_key,
    )


def speak_for_trail(trail: str, trail_key: SigningKey, host: Host) -> Identity:
    """The trail's own key as a node's: how a person who has it speaks where a node would."""
    key = SigningKey(names.ledger_origin(trail, trail), trail_key.private)
    return Identity(trail, key, certify(trail, trail_key, trail_key.public, host.now_us()))


def _certifies(certificate: bytes, trail: str, key: SigningKey) -> bool:
    """A change of keys that died half-way leaves the certificate of the key before."""
    try:
        statements.verify_certificate(certificate, trail, key.public)
    except ProofError:
        return False
    return True


def _node_key(trail: str, seed: bytes) -> SigningKey:
    public = SigningKey.generate("", seed).public
    return SigningKey.generate(names.ledger_origin(trail, names.node_id(public)), seed)


def _certify(trail: str, trail_key: SigningKey | None, key: SigningKey, host: Host) -> bytes:
    if trail_key is None:
        raise RejectedError(
            "uncertified",
            Problem(
                0,
                "",
                f"node {names.node_id(key.public)} has no certificate, and the trail's key is not "
                "here to make one. Where that is, run: "
                f"holdfast keys admit --data DIR '{key.verifier.text}' > node.cert; "
                "then put node.cert beside this node's node.key and start again",
            ),
        )
    return certify(trail, trail_key, key.public, host.now_us())

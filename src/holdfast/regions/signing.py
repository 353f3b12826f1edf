"""Signing what `holdfast.proof` verifies: notes, and statements as their texts. Pure."""

from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from holdfast.proof import names, note
from holdfast.proof.errors import MalformedError
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Statement


@dataclass(frozen=True)
class SigningKey:
    """A private key and the name under which it signs."""

    name: str
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls, name: str, seed: bytes) -> "SigningKey":
        """The key of a seed of 32 unpredictable bytes."""
        return cls(name, Ed25519PrivateKey.from_private_bytes(seed))

    @cached_property
    def public(self) -> bytes:
        """The public key, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    @cached_property
    def verifier(self) -> VerifierKey:
        """What checks this key's signatures."""
        return VerifierKey(self.name, self.public)

    @property
    def vkey(self) -> str:
        """The public half as text."""
        return self.verifier.text


def sign(text: str, *keys: SigningKey, bytes_max: int = note.NOTE_BYTES_MAX) -> bytes:
    """Make a signed note. Raises MalformedError: a text unfit for one, or too large."""
    try:
        signed = text.encode()
    except UnicodeEncodeError as error:
        raise MalformedError("the text has no UTF-8 form") from error
    lines = [
        f"— {key.name} {note.encode_base64(key.verifier.id + key.private.sign(signed))}\n"
        for key in keys
    ]
    data = signed + b"\n" + "".join(lines).encode()
    if note.parse(data, bytes_max).text != text:
        raise MalformedError("the text does not end in a newline")
    return data


def text(statement: Statement, origin: str) -> str:
    """The text of a statement. Raises MalformedError for values that have no form in it."""
    statement.check()
    lines = [statement.KIND, names.check_origin(origin)]
    for attribute, key, line in statement.TABLE:
        value = getattr(statement, attribute)
        values = value if line.times == "*" else [value] if value != line.nothing else []
        lines += (f"{key} {line.word.write(each)}" for each in values)
    return "\n".join(lines) + "\n"


def write(statement: Statement, origin: str, key: SigningKey) -> bytes:
    """Sign a statement of that origin with the key of whom FORMAT.md says; the note.

    Raises MalformedError: a value has no form in the text, or the note would be too large.
    """
    return sign(text(statement, origin), key, bytes_max=statement.BYTES_MAX)


def public_key(seed: bytes) -> bytes:
    """The public key of a seed, 32 bytes: what a key's name and id are made of."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()

"""C2SP signed notes with Ed25519 keys, and tlog checkpoints.

Source: c2sp.org/signed-note, c2sp.org/tlog-checkpoint. A note's text must be ignored unless
`verify` returned it.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdfast.proof.errors import MalformedError, SignatureError
from holdfast.proof.merkle import HASH_BYTES

NOTE_BYTES_MAX = 64 * 1024
SIGNATURES_MAX = 64
NUMBER_MAX = 2**63 - 1

_FORBIDDEN = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_KEY_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_KEY_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True)
class VerifierKey:
    """A public key of 32 bytes, and the name under which it signs, or MalformedError.

    TYPE: the algorithm's byte: Ed25519.
    """

    TYPE: ClassVar[bytes] = b"\x01"
    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _KEY_NAME.fullmatch(self.name):
            raise MalformedError(f"{self.name!r} is not a key name")
        if len(self.public) != 32:
            raise MalformedError(f"the public key has {len(self.public)} bytes, not 32")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a vkey: `<name>+<key id>+<base64 of type ‖ public key>`. Raises MalformedError."""
        parts = text.split("+", 2)
        if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
            raise MalformedError("a verifier key has the form name+id+key")
        material = decode_base64(parts[2])
        if material[:1] != cls.TYPE:
            raise MalformedError(
                f"the verifier key is not an Ed25519 one of type 0x{cls.TYPE.hex()}"
            )
        key = cls(parts[0], material[1:])
        if key.id.hex() != parts[1]:
            raise MalformedError("the verifier key's id is not that of its name and key")
        return key

    @cached_property
    def id(self) -> bytes:
        """The 4 bytes by which a signature line refers to the key."""
        return hashlib.sha256(self.name.encode() + b"\n" + self.TYPE + self.public).digest()[:4]

    @property
    def text(self) -> str:
        """As a vkey."""
        return f"{self.name}+{self.id.hex()}+{encode_base64(self.TYPE + self.public)}"

    def check(self, signature: bytes, text: bytes) -> None:
        """Raise SignatureError unless this key made the signature over the text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError) as error:
            raise SignatureError(f"a signature by {self.name} does not verify") from error


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: the key's name and id (4 bytes), and what that key made of the text."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and signatures.

    After `verify`: only those that hold; and ignored, the number of those by unknown keys.
    """

    text: str
    signatures: tuple[Signature, ...]
    ignored: int = 0


def parse(data: bytes, bytes_max: int = NOTE_BYTES_MAX) -> Note:
    """Read a note without checking who signed it. Raises MalformedError."""
    if len(data) > bytes_max:
        raise MalformedError(f"the note has {len(data)} bytes, more than {bytes_max}")
    if _FORBIDDEN.search(data):
        raise MalformedError("the note holds a control character")
    end = data.rfind(b"\n\n")
    if end < 0 or not data.endswith(b"\n"):
        raise MalformedError("the note has no signature lines")
    try:
        text, tail = data[: end + 1].decode(), data[end + 2 : -1].decode()
    except UnicodeDecodeError as error:
        raise MalformedError("the note is not UTF-8") from error
    lines = tail.split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise MalformedError(f"the note has more than {SIGNATURES_MAX} signatures")
    return Note(text, tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    dash, _, rest = line.partition(" ")
    name, space, encoded = rest.partition(" ")
    if dash != "—" or not space or not _KEY_NAME.fullmatch(name):
        raise MalformedError("a signature line has the form `— name signature`")
    raw = decode_base64(encoded)
    if len(raw) < 5:
        raise MalformedError("a signature is cut off")
    return Signature(name, raw[:4], raw[4:])


def verify(data: bytes, keys: Iterable[VerifierKey], bytes_max: int = NOTE_BYTES_MAX) -> Note:
    """Read a note that one of the keys signed.

    Signatures of other keys are ignored; each signature of a known key must hold.

    Returns:
        The note with the signatures that hold.
    Raises:
        MalformedError: not a signed note.
        SignatureError: none of the keys signed it, or a signature of one does not hold.
    """
    note = parse(data, bytes_max)
    known = {(key.name, key.id): key for key in keys}
    signed = note.text.encode()
    good = []
    for signature in note.signatures:
        key = known.get((signature.name, signature.key_id))
        if key is not None:
            key.check(signature.signature, signed)
            good.append(signature)
    if not good:
        raise SignatureError("the note is not signed by a known key")
    return Note(note.text, tuple(good), len(note.signatures) - len(good))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head. root: 32 bytes. extensions: further lines, opaque; ours have none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of the note."""
        lines = (self.origin, str(self.size), encode_base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint. Raises MalformedError."""
    if not text.endswith("\n"):
        raise MalformedError("a checkpoint ends in a newline")
    lines = text[:-1].split("\n")
    if len(lines) < 3 or "" in lines:
        raise MalformedError("a checkpoint has at least three lines, none of them empty")
    origin, size, root, *extensions = lines
    hashed = decode_base64(root)
    if len(hashed) != HASH_BYTES:
        raise MalformedError(f"the root is not of {HASH_BYTES} bytes")
    return Checkpoint(origin, parse_number(size), hashed, tuple(extensions))


def verify_checkpoint(data: bytes, key: VerifierKey) -> Checkpoint:
    """Read a checkpoint that a log signed of itself: its origin is the key's name.

    Raises MalformedError and SignatureError as `verify`, the latter also for another's origin.
    """
    checkpoint = parse_checkpoint(verify(data, [key]).text)
    if checkpoint.origin != key.name:
        raise SignatureError(f"a checkpoint of {checkpoint.origin} is signed by {key.name}")
    return checkpoint


def parse_number(text: str) -> int:
    """A decimal without leading zeros, at most `NUMBER_MAX`. Raises MalformedError."""
    if not _NUMBER.fullmatch(text) or int(text) > NUMBER_MAX:
        raise MalformedError(f"{text[:40]!r} is not a decimal number as it must be written")
    return int(text)


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode()


def decode_base64(text: str) -> bytes:
    """The bytes of base64 in the one form that encoding gives. Raises MalformedError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("a value is not base64") from error
    if encode_base64(data) != text:
        raise MalformedError("a value is not base64 in its canonical form")
    return data

"""The bytes of a segment: one zstd frame of records, then a skippable frame with the trailer.

`write.seal` makes them; what is here checks them by themselves (FORMAT.md, section 7). Pure.
"""

import hashlib
import hmac
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from holdfast.proof import merkle, statements, tenants
from holdfast.proof.errors import MalformedError, MismatchError
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Signed
from holdfast.regions.kinds import Trailer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DECODED_BYTES_MAX = 16 * 1024 * 1024
WINDOW_BYTES_MAX = 8 * 1024 * 1024

_FRAME_MAGIC = b"\x28\xb5\x2f\xfd"
TRAILER_MAGIC = b"\x50\x2a\x4d\x18"
_FRAME_BYTES_MIN = 14  # more than the longest header, and the shortest frame with a checksum
_HEADER_BYTES = 8  # of a skippable frame: magic and size
LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Opened:
    """A segment that its name, its trailer and its records agree on, signed by its node."""

    name: SegmentName
    trailer: Trailer
    records: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A tenant in a segment, its records one after the other. leaf: of the segment tree."""

    tag: str
    blind: bytes
    count: int
    leaf: bytes


def trailer_bytes(tail: bytes) -> int:
    """How many bytes at the end of a segment are its trailer frame.

    tail: the last bytes of the segment, at least 4. Raises MalformedError: no possible length.
    """
    size = int.from_bytes(tail[-LENGTH_BYTES:], "little")
    if len(tail) < LENGTH_BYTES or not size <= Trailer.BYTES_MAX + LENGTH_BYTES:
        raise MalformedError("the bytes do not end in the length of a trailer")
    return _HEADER_BYTES + size


def trailer_note(data: bytes) -> bytes:
    """The signed note at the end of a segment's bytes. Raises MalformedError."""
    length = trailer_bytes(data)
    frame = data[-length:]
    if len(frame) != length or frame[:_HEADER_BYTES] != TRAILER_MAGIC + frame[-LENGTH_BYTES:]:
        raise MalformedError("the bytes do not end in a trailer")
    return frame[_HEADER_BYTES:-LENGTH_BYTES]


def read_trailer(data: bytes) -> Signed[Trailer]:
    """Parse the trailer, whoever signed it. Raises ProofError.

    data: a segment, or its last bytes, at least `trailer_bytes` of them.
    """
    return statements.read(trailer_note(data), Trailer)


def verify_trailer(data: bytes, name: SegmentName, node_key: bytes, origin: str) -> Trailer:
    """Check that a segment's bytes are those that its node sealed, without decompressing.

    Args:
        name: As listed.
        node_key: The public key of the node in whose ledger it lies, 32 bytes.
        origin: That ledger's origin.
    Raises:
        MismatchError: the bytes do not hash to the name, or the trailer is of another segment.
        MalformedError, SignatureError: the trailer is not one, or not the node's.
    """
    if hashlib.sha256(data).digest() != name.sha256:
        raise MismatchError(f"the bytes of segment {name.index} do not hash to its name")
    signed = statements.verify(trailer_note(data), Trailer, VerifierKey(origin, node_key))
    if len(signed.note.signatures) + signed.note.ignored != 1:
        raise MalformedError("a trailer has one signature, so that nobody can add to its bytes")
    trailer, frame = signed.statement, memoryview(data)[: len(data) - trailer_bytes(data)]
    if trailer.segment != name.unhashed or trailer.frame != hashlib.sha256(frame).digest():
        raise MismatchError(f"the trailer is not that of segment {name.index}")
    counts = [count for _, count in trailer.tenants]
    if len(counts) != name.tenants or sum(counts) != name.count:
        raise MismatchError(f"the tenants of segment {name.index} do not add up to its name")
    return trailer


def verify(data: bytes, name: SegmentName, node_key: bytes, origin: str) -> Opened:
    """Check a segment by itself and take its records out.

    Args and errors as `verify_trailer`. What remains is whether the records make the root in the
    name, which takes the tenants' salts: `verify_tenants`.
    """
    return take_out(data, name, verify_trailer(data, name, node_key, origin))


def take_out(data: bytes, name: SegmentName, trailer: Trailer) -> Opened:
    """The records of a segment whose trailer was verified. Raises MalformedError."""
    frame = data[: len(data) - trailer_bytes(data)]
    return Opened(name, trailer, split_lines(decode_frame(frame), name.count))


def verify_tenants(
    opened: Opened, tag_key: bytes, node: str, tenants: Sequence[str] | None = None
) -> tuple[Member, ...]:
    """Check that each record lies under its own tenant, and that all make the root in the name.

    Args:
        tenants: Whose each of the trailer's groups is, by `tenant_of` for every record in it, for
            callers who have established just that. None: it is done here.
    Returns:
        The tenants, in stored order, with what hides them.
    Raises:
        MalformedError: a record is not a JSON object with a tenant that is one.
        MismatchError: a record under another tenant's tag, or another root.
    """
    name, at, members = opened.name, 0, []
    for number, (tag, count) in enumerate(opened.trailer.tenants):
        tenant = tenants[number] if tenants else _tenant_of_all(opened, at, count)
        own, blind = hide(tag_key, tenant, node, name.index)
        if own != tag:
            raise MismatchError(
                f"segment {name.index} has records under another tenant's tag, from line {at} on"
            )
        members.append(member_of(opened.records[at : at + count], tag, blind))
        at += count
    if root_of(members) != name.root:
        raise MismatchError(f"the records of segment {name.index} do not make its root")
    return tuple(members)


def member_of(records: Sequence[bytes], tag: str, blind: bytes) -> Member:
    root = merkle.root(merkle.leaf_hashes(records))
    return Member(tag, blind, len(records), tenants.tenant_leaf(tag, blind, len(records), root))


@lru_cache(maxsize=1024)  # a few tenants have most of the records, segment after segment
def tenant_salt(tag_key: bytes, tenant: str) -> bytes:
    """The tenant's secret, 32 bytes. Raises MalformedError for a name that has no UTF-8 form."""
    try:
        return hmac.digest(tag_key, b"holdfast-tenant/1 " + tenant.encode(), "sha256")
    except UnicodeEncodeError as error:
        raise MalformedError("a tenant has a lone surrogate") from error


def hide(tag_key: bytes, tenant: str, node: str, index: int) -> tuple[str, bytes]:
    salt = tenant_salt(tag_key, tenant)
    return tenants.tag(salt, node, index), tenants.blind(salt, node, index)


def root_of(members: Sequence[Member]) -> bytes:
    return merkle.root(merkle.leaf_hashes(member.leaf for member in members))


def _unread(number: str) -> None:
    """In place of a number, which need not fit into anything."""


def _tenant_of_all(opened: Opened, at: int, count: int) -> str:
    """The one tenant of some neighbouring records. Raises MismatchError where there are more."""
    tenant = tenant_of(opened.records[at])
    for line in range(at + 1, at + count):
        if tenant_of(opened.records[line]) != tenant:
            raise MismatchError(
                f"segment {opened.name.index} mixes tenants under one tag, at line {line}"
            )
    return tenant


def tenant_of(record: bytes) -> str:
    """The record's own tenant; none and "" are the same.

    A payload may hold any number, so none is converted. Deep nesting is refused as malformed.
    Raises MalformedError.
    """
    try:
        text = record.decode()
        pairs = json.loads(text, object_pairs_hook=tuple, parse_int=_unread, parse_float=_unread)
    except (ValueError, RecursionError) as error:
        raise MalformedError("a record is not JSON") from error
    if not text.startswith("{"):
        raise MalformedError("a record is not a JSON object")
    found = [value for key, value in pairs if key == "tenant"] or [""]
    if len(found) != 1 or not isinstance(found[0], str):
        raise MalformedError("a record's tenant is not one string")
    return str(found[0])


def split_lines(decoded: bytes, count: int) -> tuple[bytes, ...]:
    *records, rest = decoded.split(b"\n")
    if rest or b"" in records or len(records) != count:
        raise MalformedError(f"the segment does not hold {count} lines")
    return tuple(records)


def decode_frame(frame: bytes) -> bytes:
    """The content of exactly one zstd frame, whose header bounds what it takes to decode it."""
    size = _content_size(frame)
    decompressor = zstd.ZstdDecompressor()
    try:
        decoded = decompressor.decompress(frame, DECODED_BYTES_MAX + 1)
    except zstd.ZstdError as error:
        raise MalformedError(f"the records do not decompress: {error}") from error
    if not decompressor.eof or decompressor.unused_data or len(decoded) != size:
        raise MalformedError("the records are not one whole zstd frame")
    return decoded


def _content_size(frame: bytes) -> int:
    """The decoded size that the header of a frame states.

    Raises MalformedError unless it states one within bounds, a checksum, no dictionary and a window
    within bounds. Source: RFC 8878, section 3.1.1.1.
    """
    if frame[:4] != _FRAME_MAGIC or len(frame) < _FRAME_BYTES_MIN:
        raise MalformedError("the segment does not begin with a zstd frame")
    descriptor, at = frame[4], 5
    single, flag = descriptor >> 5 & 1, descriptor >> 6
    if descriptor & 0b11011 or not descriptor & 0b100 or not (single or flag):
        raise MalformedError("the zstd frame has no checksum or size, or a dictionary")
    window = 0
    if not single:
        exponent, mantissa = frame[at] >> 3, frame[at] & 7
        window = (1 << (10 + exponent)) + (1 << (7 + exponent)) * mantissa
        at += 1
    width = 1 << flag
    size = int.from_bytes(frame[at : at + width], "little") + (256 if width == 2 else 0)
    if not 0 < size <= DECODED_BYTES_MAX:
        raise MalformedError(f"the zstd frame states a size of {size}")
    if (size if single else window) > WINDOW_BYTES_MAX:
        raise MalformedError(f"the zstd frame needs a window of more than {WINDOW_BYTES_MAX}")
    return size

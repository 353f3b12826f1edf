"""Ids, origins and the names of segments. Each is parsed only in its one form."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, partial

from holdfast.proof.errors import MalformedError

INDEX_DIGITS = 10

# index, epoch, first, count, tenants, sealed_us in hex digits; then root and sha256.
_WIDTHS = (INDEX_DIGITS, 6, 12, 6, 6, 14)
_NAME = re.compile("-".join(f"([0-9a-f]{{{width}}})" for width in (*_WIDTHS, 64, 64)))
_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")
_REGION = re.compile(r"[0-9a-z][0-9a-z._-]{0,62}")
_STATE = re.compile(r"[a-z][a-z-]{0,31}")
_ORIGIN = re.compile(r"holdfast/([0-9a-f]{32})(?:/([0-9a-f]{32}))?")


def trail_id(public: bytes) -> str:
    """The id of the trail or node whose public key this is: 32 hex digits."""
    return hashlib.sha256(public).hexdigest()[:32]


node_id = trail_id


def trail_origin(trail: str) -> str:
    """The trail's own name in notes, and that of its key."""
    return f"holdfast/{check_id(trail)}"


def ledger_origin(trail: str, node: str) -> str:
    """A node's name in notes: that of its key and of its ledger."""
    return f"holdfast/{check_id(trail)}/{check_id(node)}"


def parse_ledger_origin(origin: str) -> tuple[str, str]:
    """The trail and the node of a `ledger_origin`. Raises MalformedError."""
    match = _ORIGIN.fullmatch(origin)
    if match is None or match[2] is None:
        raise MalformedError(f"{origin[:80]!r} is not the origin of a ledger")
    return match[1], match[2]


def _check(pattern: re.Pattern[str], what: str, text: str) -> str:
    if not pattern.fullmatch(text):
        raise MalformedError(f"{text[:80]!r} is not {what}")
    return text


# Each returns the text that it is given, or raises MalformedError.
check_id = partial(_check, _ID, "an id of 32 hex digits")
check_hash = partial(_check, _HASH, "a hash of 64 hex digits")
check_region = partial(_check, _REGION, "a region's id")
check_state = partial(_check, _STATE, "a region's state")
check_origin = partial(_check, _ORIGIN, "an origin")


@dataclass(frozen=True)
class SegmentName:
    """A segment's place, size, root and hash: the leaf that a checkpoint signs.

    index: in the node's ledger. first: the node's events before this segment. sealed_us: at or
    after all its events, before all later ones. root: of the segment tree. sha256: of the bytes.
    """

    index: int
    epoch: int
    first: int
    count: int
    tenants: int
    sealed_us: int
    root: bytes
    sha256: bytes

    def __post_init__(self) -> None:
        """Raise MalformedError for what a name cannot hold, or a segment cannot be."""
        for number, width in zip(self._numbers, _WIDTHS, strict=True):
            if not 0 <= number < 16**width:
                raise MalformedError(f"{number} does not fit into a segment's name")
        if not 1 <= self.tenants <= self.count or not self.epoch or not self.sealed_us:
            raise MalformedError("a segment has an epoch, a time, and a record for each tenant")
        if self.first < self.index:
            raise MalformedError("each segment before this one has a record")
        if len(self.root) != 32 or len(self.sha256) != 32:
            raise MalformedError("a hash in a segment's name has 32 bytes")

    @property
    def _numbers(self) -> tuple[int, ...]:
        return self.index, self.epoch, self.first, self.count, self.tenants, self.sealed_us

    @cached_property
    def unhashed(self) -> str:
        """The name less its hash, as the trailer within those bytes has it."""
        numbers = zip(self._numbers, _WIDTHS, strict=True)
        return "-".join([*(f"{number:0{width}x}" for number, width in numbers), self.root.hex()])

    @cached_property
    def text(self) -> str:
        """The leaf of the ledger, as ASCII text."""
        return f"{self.unhashed}-{self.sha256.hex()}"

    @classmethod
    def parse(cls, text: str) -> "SegmentName":
        """Read a name. Raises MalformedError."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise MalformedError(f"{text[:80]!r} is not a segment's name")
        index, epoch, first, count, tenants, sealed_us = (int(match[at], 16) for at in range(1, 7))
        root, sha256 = bytes.fromhex(match[7]), bytes.fromhex(match[8])
        return cls(index, epoch, first, count, tenants, sealed_us, root, sha256)

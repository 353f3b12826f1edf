"""Ids, origins, segment names and the keys of objects. Each is parsed only in its one form."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, partial

from holdfast.proof.errors import MalformedError

SHARD_SEGMENTS = 4096
NODES_PREFIX = "ev/node/"
SEGMENTS_PREFIX = "ev/seg/"
CHECKPOINTS_PREFIX = "ev/cp/"
GAPS_PREFIX = "ev/gap/"
HEARTBEATS_PREFIX = "ctl/hb/"
REGION_KEY = "ev/region.note"
WHOLE_KEY = "ev/whole.note"
SEGMENT_SUFFIX = ".ndjson.zst"

INDEX_DIGITS = 10

# index, epoch, first, count, tenants, sealed_us in hex digits; then root and sha256.
_WIDTHS = (INDEX_DIGITS, 6, 12, 6, 6, 14)
_NAME = re.compile("-".join(f"([0-9a-f]{{{width}}})" for width in (*_WIDTHS, 64, 64)))
_ID = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")
_REGION = re.compile(r"[0-9a-z][0-9a-z._-]{0,62}")
_STATE = re.compile(r"[a-z][a-z-]{0,31}")
_ORIGIN = re.compile(r"holdfast/([0-9a-f]{32})(?:/([0-9a-f]{32}))?")
_SEGMENT_KEY = re.compile(r"ev/seg/([0-9a-f]{32})/([0-9a-f]{7})/([0-9a-f-]+)\.ndjson\.zst")
_EPOCH_KEY = re.compile(r"ev/node/([0-9a-f]{32})/([0-9a-f]{6})/(birth|fence|close|closed)\.note")
_CHECKPOINT_KEY = re.compile(r"ev/cp/([0-9a-f]{32})/([0-9a-f]{10})(?:\.([0-9a-f]{32}))?\.note")
_GAP_KEY = re.compile(r"ev/gap/([0-9a-f]{32})/([0-9a-f]{10})-([0-9a-f]{10})\.note")
_HEARTBEAT_KEY = re.compile(r"ctl/hb/([0-9a-f]{32})\.note")


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


@dataclass(frozen=True, slots=True)
class SegmentKey:
    node: str
    name: SegmentName


@dataclass(frozen=True, slots=True)
class EpochKey:
    """kind: birth, fence, close or closed."""

    node: str
    epoch: int
    kind: str


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """witness: whose cosignature this is, 32 hex digits; "": the node's own checkpoint."""

    node: str
    size: int
    witness: str


@dataclass(frozen=True, slots=True)
class GapKey:
    """start, end: the indexes [start, end) of the segments that are stated to be lost."""

    node: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class HeartbeatKey:
    node: str


@dataclass(frozen=True, slots=True)
class RegionKey:
    """The cookie's."""


@dataclass(frozen=True, slots=True)
class WholeKey:
    """That of `ev/whole.note`."""


Key = SegmentKey | EpochKey | CheckpointKey | GapKey | HeartbeatKey | RegionKey | WholeKey


def segments_prefix(node: str) -> str:
    """Under it lie the node's segments, in the order of its ledger."""
    return f"{SEGMENTS_PREFIX}{node}/"


def shard_prefix(node: str, index: int) -> str:
    """Under it lies the segment of that index, and the others of its 4096."""
    return f"{SEGMENTS_PREFIX}{node}/{index // SHARD_SEGMENTS:07x}/"


def segments_after(node: str, size: int) -> str:
    """Where to begin a listing (`after`) that shall show the segments from index `size` on."""
    return f"{shard_prefix(node, size)}{size:010x}"


def segment_key(node: str, name: SegmentName) -> str:
    return f"{shard_prefix(node, name.index)}{name.text}{SEGMENT_SUFFIX}"


def epochs_prefix(node: str) -> str:
    """Under it lie the births and ends of the node's epochs, in their order."""
    return f"{NODES_PREFIX}{node}/"


def _epoch_key(kind: str, node: str, epoch: int) -> str:
    return f"{NODES_PREFIX}{node}/{epoch:06x}/{kind}.note"


# Of (node, epoch): where an epoch's `Birth`, `Fence`, a store's `Vote`, and `Closed` lie.
birth_key = partial(_epoch_key, "birth")
fence_key = partial(_epoch_key, "fence")
vote_key = partial(_epoch_key, "close")
closed_key = partial(_epoch_key, "closed")


def checkpoint_key(node: str, size: int) -> str:
    return f"{CHECKPOINTS_PREFIX}{node}/{size:010x}.note"


def gaps_prefix(node: str) -> str:
    """Under it lies what is stated to be lost of a node's ledger."""
    return f"{GAPS_PREFIX}{node}/"


def gap_key(node: str, start: int, end: int) -> str:
    """Where the statement lies that the segments [start, end) of a node are lost."""
    return f"{gaps_prefix(node)}{start:010x}-{end:010x}.note"


def heartbeat_key(node: str) -> str:
    return f"{HEARTBEATS_PREFIX}{node}.note"


def parse_key(key: str) -> Key:
    """What lies under a key. Raises MalformedError for one that is not of this format version."""
    if match := _SEGMENT_KEY.fullmatch(key):
        name = SegmentName.parse(match[3])
        if int(match[2], 16) != name.index // SHARD_SEGMENTS:
            raise MalformedError(f"{key!r} lies in another shard than its index says")
        return SegmentKey(match[1], name)
    if match := _EPOCH_KEY.fullmatch(key):
        return EpochKey(match[1], int(match[2], 16), match[3])
    if match := _CHECKPOINT_KEY.fullmatch(key):
        return CheckpointKey(match[1], int(match[2], 16), match[3] or "")
    if match := _GAP_KEY.fullmatch(key):
        start, end = int(match[2], 16), int(match[3], 16)
        if end <= start:
            raise MalformedError(f"{key!r} names no segment")
        return GapKey(match[1], start, end)
    if match := _HEARTBEAT_KEY.fullmatch(key):
        return HeartbeatKey(match[1])
    if key in (REGION_KEY, WHOLE_KEY):
        return RegionKey() if key == REGION_KEY else WholeKey()
    raise MalformedError(f"{key[:400]!r} is not a key of this format")

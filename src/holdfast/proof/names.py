"""Ids, origins, segment names and the keys of objects. A name is parsed only in its one form."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property

from holdfast.proof.errors import MalformedError

SHARD_SEGMENTS = 4096
NODES_PREFIX = "ev/node/"
SEGMENTS_PREFIX = "ev/seg/"
CHECKPOINTS_PREFIX = "ev/cp/"
HEARTBEATS_PREFIX = "ctl/hb/"
REGION_KEY = "ev/region.note"
WHOLE_KEY = "ev/whole.note"
SEGMENT_SUFFIX = ".ndjson.zst"
EPOCH_KINDS = ("birth", "fence", "close", "closed")

# index, epoch, first, count, tenants, sealed_us in hex digits; then root and sha256.
_WIDTHS = (10, 6, 12, 6, 6, 14)
_NAME = re.compile("-".join(f"([0-9a-f]{{{width}}})" for width in (*_WIDTHS, 64, 64)))
_UNHASHED_LENGTH = sum(_WIDTHS) + len(_WIDTHS) + 64
_ID = re.compile(r"[0-9a-f]{32}")
_REGION = re.compile(r"[0-9a-z][0-9a-z._-]{0,62}")
_SEGMENT_KEY = re.compile(r"ev/seg/([0-9a-f]{32})/([0-9a-f]{7})/([0-9a-f-]+)\.ndjson\.zst")
_EPOCH_KEY = re.compile(r"ev/node/([0-9a-f]{32})/([0-9a-f]{6})/(birth|fence|close|closed)\.note")
_CHECKPOINT_KEY = re.compile(r"ev/cp/([0-9a-f]{32})/([0-9a-f]{10})(?:\.([0-9a-f]{32}))?\.note")
_HEARTBEAT_KEY = re.compile(r"ctl/hb/([0-9a-f]{32})\.note")


def trail_id(public: bytes) -> str:
    """The id of the trail whose public key this is: 32 hex digits."""
    return hashlib.sha256(public).hexdigest()[:32]


def node_id(public: bytes) -> str:
    """The id of the node whose public key this is: 32 hex digits."""
    return hashlib.sha256(public).hexdigest()[:32]


def trail_origin(trail: str) -> str:
    """The trail's own name in notes, and that of its key."""
    return f"holdfast/{check_id(trail)}"


def ledger_origin(trail: str, node: str) -> str:
    """A node's name in notes: that of its key and of its ledger."""
    return f"holdfast/{check_id(trail)}/{check_id(node)}"


def parse_ledger_origin(origin: str) -> tuple[str, str]:
    """The trail and the node of a `ledger_origin`. Raises MalformedError."""
    parts = origin.split("/")
    if len(parts) != 3 or parts[0] != "holdfast":
        raise MalformedError(f"{origin[:80]!r} is not the origin of a ledger")
    return check_id(parts[1]), check_id(parts[2])


def check_id(text: str) -> str:
    """The id itself, if it is 32 lower-case hex digits: a trail, a node, a store, an instance."""
    if not _ID.fullmatch(text):
        raise MalformedError(f"{text[:80]!r} is not an id of 32 hex digits")
    return text


def check_region(text: str) -> str:
    """The region's id itself, if it is one: [0-9a-z][0-9a-z._-]*, at most 63 characters."""
    if not _REGION.fullmatch(text):
        raise MalformedError(f"{text[:80]!r} is not a region's id")
    return text


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
        if not 1 <= self.tenants <= self.count or self.epoch < 1:
            raise MalformedError("a segment has an epoch from 1 on, and a record for each tenant")
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
        *numbers, root, sha256 = match.groups()
        index, epoch, first, count, tenants, sealed_us = (int(each, 16) for each in numbers)
        return cls(
            index,
            epoch,
            first,
            count,
            tenants,
            sealed_us,
            bytes.fromhex(root),
            bytes.fromhex(sha256),
        )


@dataclass(frozen=True, slots=True)
class SegmentKey:
    """ev/seg/<node>/<shard>/<name>.ndjson.zst."""

    node: str
    name: SegmentName


@dataclass(frozen=True, slots=True)
class EpochKey:
    """ev/node/<node>/<epoch>/<kind>.note. kind: one of EPOCH_KINDS."""

    node: str
    epoch: int
    kind: str


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """ev/cp/<node>/<size>.note, or <size>.<witness>.note with a witness's cosignature."""

    node: str
    size: int
    witness: str = ""


@dataclass(frozen=True, slots=True)
class HeartbeatKey:
    """ctl/hb/<node>.note."""

    node: str


@dataclass(frozen=True, slots=True)
class RegionKey:
    """ev/region.note, the cookie."""


@dataclass(frozen=True, slots=True)
class WholeKey:
    """ev/whole.note."""


Key = SegmentKey | EpochKey | CheckpointKey | HeartbeatKey | RegionKey | WholeKey


def segments_prefix(node: str) -> str:
    """Under it lie the node's segments, in the order of its ledger."""
    return f"ev/seg/{node}/"


def shard_prefix(node: str, index: int) -> str:
    """Under it lies the segment of that index, and the others of its 4096."""
    return f"ev/seg/{node}/{index // SHARD_SEGMENTS:07x}/"


def segments_after(node: str, size: int) -> str:
    """Where to begin a listing (`after`) that shall show the segments from index `size` on."""
    return f"{shard_prefix(node, size)}{size:010x}"


def segment_key(node: str, name: SegmentName) -> str:
    """Where a segment lies."""
    return f"{shard_prefix(node, name.index)}{name.text}{SEGMENT_SUFFIX}"


def epochs_prefix(node: str) -> str:
    """Under it lie the births and ends of the node's epochs."""
    return f"{NODES_PREFIX}{node}/"


def birth_key(node: str, epoch: int) -> str:
    """Where an epoch's `Birth` lies."""
    return f"{NODES_PREFIX}{node}/{epoch:06x}/birth.note"


def fence_key(node: str, epoch: int) -> str:
    """Where an epoch's `Fence` lies."""
    return f"{NODES_PREFIX}{node}/{epoch:06x}/fence.note"


def vote_key(node: str, epoch: int) -> str:
    """Where a store's `Vote` on an epoch's end lies."""
    return f"{NODES_PREFIX}{node}/{epoch:06x}/close.note"


def closed_key(node: str, epoch: int) -> str:
    """Where the decision, `Closed`, lies."""
    return f"{NODES_PREFIX}{node}/{epoch:06x}/closed.note"


def checkpoints_prefix(node: str) -> str:
    """Under it lie the node's checkpoints, in the order of their sizes."""
    return f"{CHECKPOINTS_PREFIX}{node}/"


def checkpoint_key(node: str, size: int) -> str:
    """Where the checkpoint of that size lies."""
    return f"{CHECKPOINTS_PREFIX}{node}/{size:010x}.note"


def heartbeat_key(node: str) -> str:
    """Where the node's newest `Heartbeat` lies."""
    return f"{HEARTBEATS_PREFIX}{node}.note"


def parse_key(key: str) -> Key:
    """What lies under a key.

    Raises:
        MalformedError: not a key of this format version.
    """
    if match := _SEGMENT_KEY.fullmatch(key):
        name = SegmentName.parse(match[3])
        if int(match[2], 16) != name.index // SHARD_SEGMENTS:
            raise MalformedError(f"{key!r} lies in another shard than its index says")
        return SegmentKey(match[1], name)
    if match := _EPOCH_KEY.fullmatch(key):
        return EpochKey(match[1], int(match[2], 16), match[3])
    if match := _CHECKPOINT_KEY.fullmatch(key):
        return CheckpointKey(match[1], int(match[2], 16), match[3] or "")
    if match := _HEARTBEAT_KEY.fullmatch(key):
        return HeartbeatKey(match[1])
    if key == REGION_KEY:
        return RegionKey()
    if key == WHOLE_KEY:
        return WholeKey()
    raise MalformedError(f"{key[:400]!r} is not a key of this format")

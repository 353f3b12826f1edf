"""Where each object lies in a region's store: the keys of FORMAT.md, section 3. Pure.

A key is parsed only in its one form: one of any other form is not evidence.
"""

import re
from dataclasses import dataclass
from functools import partial

from holdfast.proof.errors import MalformedError
from holdfast.proof.names import SegmentName
from holdfast.regions import units

SHARD_SEGMENTS = 4096
NODES_PREFIX = "ev/node/"
SEGMENTS_PREFIX = "ev/seg/"
CHECKPOINTS_PREFIX = "ev/cp/"
GAPS_PREFIX = "ev/gap/"
ARCHIVE_PREFIX = "ev/arc/"
RETENTION_PREFIX = "ev/ret/"
FLOORS_PREFIX = "ev/ret/floor/"
HEARTBEATS_PREFIX = "ctl/hb/"
# Derived, for engines that read the archive; may be deleted at any time.
LAKE_PREFIX = "lake/"
# What a probe of a store leaves: no evidence, and every reader passes over it.
PROBES_PREFIX = "ev/probe/"
PROBED_KEY = "ctl/probe.note"
NO_SEGMENT_KEY = f"ev/seg/{'0' * 32}/0000000/none.ndjson.zst"  # where nothing ever lies
REGION_KEY = "ev/region.note"
WHOLE_KEY = "ev/whole.note"
SEGMENT_SUFFIX = ".ndjson.zst"

_SEGMENT_KEY = re.compile(r"ev/seg/([0-9a-f]{32})/([0-9a-f]{7})/([0-9a-f-]+)\.ndjson\.zst")
_EPOCH_KEY = re.compile(
    r"ev/node/([0-9a-f]{32})/([0-9a-f]{6})/(birth|fence|close|closed|retired)\.note"
)
_CHECKPOINT_KEY = re.compile(r"ev/cp/([0-9a-f]{32})/([0-9a-f]{10})(?:\.([0-9a-f]{32}))?\.note")
_GAP_KEY = re.compile(r"ev/gap/([0-9a-f]{32})/([0-9a-f]{10})-([0-9a-f]{10})\.note")
_PART_KEY = re.compile(
    r"ev/arc/day=([0-9-]{10})/class=([a-z][a-z0-9-]{0,31})/([0-9a-f]{64})\.parquet"
)
_EVIDENCE_KEY = re.compile(r"ev/arc/day=([0-9-]{10})/([0-9a-f]{64})\.ndjson\.zst")
_ARCHIVE_KEY = re.compile(r"ev/arc/day=([0-9-]{10})/([0-9t-]{10,15})\.([0-9a-f]{4})\.note")
_FLOOR_KEY = re.compile(r"ev/ret/floor/([0-9t-]{10,15})\.([a-z][a-z0-9-]{0,31})\.note")
_HOLD_KEY = re.compile(r"ev/ret/hold/([0-9a-f]{32})(\.released)?\.note")
_HEARTBEAT_KEY = re.compile(r"ctl/hb/([0-9a-f]{32})\.note")


@dataclass(frozen=True, slots=True)
class SegmentKey:
    node: str
    name: SegmentName

    @property
    def sha256(self) -> bytes:
        """Of its bytes."""
        return self.name.sha256


@dataclass(frozen=True, slots=True)
class EpochKey:
    """kind: birth, fence, close, closed or retired."""

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
class ArchivedKey:
    """An object of the archive. day: it lies under. retention: the class of a part; "": evidence.
    sha256: of its bytes."""

    day: str
    retention: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class ArchiveKey:
    """The manifest of a unit of the archive. generation: from 1 on; the largest counts."""

    unit: str
    generation: int


@dataclass(frozen=True, slots=True)
class FloorKey:
    """The statement that a class of a unit is let go."""

    unit: str
    retention: str


@dataclass(frozen=True, slots=True)
class HoldKey:
    """A hold, or its release. id: 32 hex digits."""

    id: str
    is_release: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatKey:
    node: str


@dataclass(frozen=True, slots=True)
class RegionKey:
    """The cookie's."""


@dataclass(frozen=True, slots=True)
class WholeKey:
    """That of `ev/whole.note`."""


Key = (
    SegmentKey
    | EpochKey
    | CheckpointKey
    | GapKey
    | ArchivedKey
    | ArchiveKey
    | FloorKey
    | HoldKey
    | HeartbeatKey
    | RegionKey
    | WholeKey
)


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


# Of (node, epoch): where an epoch's `Birth`, `Fence`, a store's `Vote`, `Closed`, `Retired` lie.
birth_key = partial(_epoch_key, "birth")
fence_key = partial(_epoch_key, "fence")
vote_key = partial(_epoch_key, "close")
closed_key = partial(_epoch_key, "closed")
retired_key = partial(_epoch_key, "retired")


def checkpoint_key(node: str, size: int) -> str:
    return f"{CHECKPOINTS_PREFIX}{node}/{size:010x}.note"


def gaps_prefix(node: str) -> str:
    """Under it lies what is stated to be lost of a node's ledger."""
    return f"{GAPS_PREFIX}{node}/"


def gap_key(node: str, start: int, end: int) -> str:
    """Where the statement lies that the segments [start, end) of a node are lost."""
    return f"{gaps_prefix(node)}{start:010x}-{end:010x}.note"


def archived_key(day: str, retention: str, sha256: str) -> str:
    """Where an object of the archive lies; retention: as in `ArchivedKey`. The names of folders are
    those that lakes read columns from."""
    if retention:
        return f"{ARCHIVE_PREFIX}day={day}/class={retention}/{sha256}.parquet"
    return f"{ARCHIVE_PREFIX}day={day}/{sha256}{SEGMENT_SUFFIX}"


def archive_key(unit: str, generation: int) -> str:
    """Where the manifest of a unit lies."""
    return f"{ARCHIVE_PREFIX}day={units.day_of(unit)}/{unit}.{generation:04x}.note"


def retained_key(key: FloorKey | HoldKey) -> str:
    """Where a statement of retention lies."""
    if isinstance(key, FloorKey):
        return f"{FLOORS_PREFIX}{key.unit}.{key.retention}.note"
    return f"{RETENTION_PREFIX}hold/{key.id}{'.released' if key.is_release else ''}.note"


def heartbeat_key(node: str) -> str:
    return f"{HEARTBEATS_PREFIX}{node}.note"


def probe_key(id: str) -> str:
    """Where a run of the probe has its race; id: 32 hex digits."""
    return f"{PROBES_PREFIX}{id}.note"


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
    if key.startswith(ARCHIVE_PREFIX):
        return _parse_archive(key)
    if match := _FLOOR_KEY.fullmatch(key):
        return FloorKey(units.check_unit(match[1]), match[2])
    if match := _HOLD_KEY.fullmatch(key):
        return HoldKey(match[1], bool(match[2]))
    if match := _HEARTBEAT_KEY.fullmatch(key):
        return HeartbeatKey(match[1])
    if key in (REGION_KEY, WHOLE_KEY):
        return RegionKey() if key == REGION_KEY else WholeKey()
    raise MalformedError(f"{key[:400]!r} is not a key of this format")


def _parse_archive(key: str) -> ArchivedKey | ArchiveKey:
    if match := _PART_KEY.fullmatch(key):
        return ArchivedKey(units.check_day(match[1]), match[2], bytes.fromhex(match[3]))
    if match := _EVIDENCE_KEY.fullmatch(key):
        return ArchivedKey(units.check_day(match[1]), "", bytes.fromhex(match[2]))
    match = _ARCHIVE_KEY.fullmatch(key)
    if match and units.day_of(units.check_unit(match[2])) == match[1] and int(match[3], 16):
        return ArchiveKey(match[2], int(match[3], 16))
    raise MalformedError(f"{key[:400]!r} is not a key of this format")


def known_key(key: str) -> Key | None:
    """What lies under a key; None: it is not of this format version, and a survey names it."""
    try:
        return parse_key(key)
    except MalformedError:
        return None

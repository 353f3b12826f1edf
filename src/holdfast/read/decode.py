"""From stored records to columns: what search filters by, and what the catalog keeps of a segment.

Derived data only: nothing here is signed or hashed into evidence, and everything can be made again
from the records. Fields that were not sent become "", so that a column never holds nulls.
"""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain, groupby, repeat, starmap

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from msgspec import Struct

from holdfast.errors import CorruptError
from holdfast.model import Contents, NodeId, Record
from holdfast.times import parse_time

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

_FEW = 16
_DEPTH_MAX = 8
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_WORD = pa.dictionary(pa.int32(), pa.string())  # few distinct values: kept once a chunk

SCHEMA: pa.Schema = pa.schema(
    [
        ("time_us", pa.int64()),  # the event's own time, else when it was received
        ("received_us", pa.int64()),
        ("tenant", _WORD),
        ("id", pa.string()),
        ("actor", _WORD),
        ("actor_name", _WORD),
        ("action", _WORD),
        ("outcome", _WORD),
        ("ip", pa.string()),
        ("targets", pa.list_(pa.string())),  # ids and names of all targets
        ("node", _WORD),
        ("segment", pa.int64()),
        ("position", pa.int64()),
        ("size_bytes", pa.int32()),  # of the record
        ("record", pa.string()),  # without its line end
    ]
)
NARROW: pa.Schema = pa.schema([field for field in SCHEMA if field.name != "record"])


class Lines(Struct, frozen=True):
    """The records of one segment as they lie in it. data: each record followed by LF."""

    node: NodeId
    segment: int
    first: int
    data: bytes


class Part(Struct, frozen=True, array_like=True):
    """Lines [start, end) of a segment: bytes [start_byte, end_byte) of what it decompresses to."""

    start: int
    end: int
    start_byte: int
    end_byte: int


class SegmentFacts(Struct, frozen=True):
    """What the catalog keeps of a segment.

    tenants: the part of the segment in which each one's records are. keys: one hash of (tenant, id)
    a record, in stored order, as little-endian uint64.
    """

    time_min_us: int
    time_max_us: int
    received_min_us: int
    received_max_us: int
    tenants: dict[str, Part]
    keys: bytes


class Names(Struct, frozen=True):
    """The fields of an event that are columns and neither few in value nor a number."""

    id: str
    actor: str
    actor_name: str
    ip: str
    targets: frozenset[str]


# gc=False: a page of events holds no cycles, and tracking its objects doubled the time to decode.
class _Named(Struct, gc=False, frozen=True):
    id: str = ""
    name: str = ""


class _Source(Struct, gc=False, frozen=True):
    ip: str = ""


_NOBODY = _Named()
_NOWHERE = _Source()


class _Event(Struct, gc=False, frozen=True):
    received: str
    id: str = ""
    time: str = ""
    tenant: str = ""
    actor: _Named = _NOBODY
    action: str = ""
    targets: tuple[_Named, ...] = ()
    outcome: str = ""
    source: _Source = _NOWHERE


class _Stub(Struct, gc=False, frozen=True):
    received: str
    id: str = ""
    time: str = ""
    tenant: str = ""


class _Typed(Struct, gc=False, frozen=True):
    payload_type: str = ""


_EVENTS = msgspec.json.Decoder(_Event)
_TYPES = msgspec.json.Decoder(_Typed)
_STUBS = msgspec.json.Decoder(_Stub)


def decode(parts: Sequence[Lines]) -> pa.Table:
    """Columns of whole segments, in the order given, as one chunk.

    Many small segments cost hardly more than one of the same size: give them together.

    Returns:
        A table of SCHEMA.
    Raises:
        CorruptError: bytes that are no records, naming node and segment.
    """
    events: list[_Event] = []
    sizes: list[int] = []
    for part in parts:
        before = len(events)
        events.extend(_events_of(part))
        sizes.append(len(events) - before)
    columns = _event_columns(events)
    columns |= _place_columns(parts, sizes)
    records = records_of([part.data for part in parts])
    if len(records) != len(events):
        raise CorruptError("a segment holds lines that are no records")
    columns |= {"record": records, "size_bytes": pa.array(np.diff(offsets_of(records)))}
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def records_of(datas: Sequence[bytes]) -> pa.Array:
    """The lines as one array of strings, without their line ends.

    Raises:
        CorruptError: not UTF-8.
    """
    data = datas[0] if len(datas) == 1 else b"".join(datas)
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    offsets = np.zeros(len(ends) + 1, np.int32)
    offsets[1:] = ends - np.arange(len(ends))
    array = pa.Array.from_buffers(
        pa.string(),
        len(ends),
        [None, pa.py_buffer(offsets), pa.py_buffer(data.replace(b"\n", b""))],
    )
    if not data.isascii():
        _refuse_other_than_utf8(data)
    return array


def offsets_of(records: pa.Array) -> Int32s:
    """Where each record begins in the array's bytes, and where the last one ends."""
    return np.frombuffer(records.buffers()[1], np.int32, len(records) + 1, 4 * records.offset)


def cuts(offsets: Int32s | Int64s, events_max: int, bytes_max: int) -> list[int]:
    """Where to cut records, given their offsets, into pieces of at most so much, but one at least.

    Returns:
        The first row of each piece, and the end of the last.
    """
    ends = offsets.data
    bounds = [0]
    while (start := bounds[-1]) < len(offsets) - 1:
        full = bisect_right(ends, ends[start] + bytes_max) - 1
        bounds.append(max(start + 1, min(start + events_max, full)))
    return bounds


def _refuse_other_than_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise CorruptError(f"a record is not UTF-8: {error}") from error


def facts(records: Sequence[Record]) -> SegmentFacts:
    """What the catalog keeps of a segment, from its records; as `contents_of`."""
    return facts_of(contents_of(records))


def contents_of(records: Sequence[Record]) -> Contents:
    """What a segment holds, from its records in stored order, at least one.

    Raises:
        CorruptError: bytes that are no records.
    """
    for record in records:
        if not record.isascii():
            _refuse_other_than_utf8(record)
    try:
        stubs = [_STUBS.decode(record) for record in records]
    except (msgspec.MsgspecError, RecursionError):
        stubs = [_stub_of(_tolerant(record)) for record in records]
    received = times_us([stub.received for stub in stubs])
    runs = groupby(stub.tenant for stub in stubs)  # one each, by the format
    return Contents(
        tenants=tuple((tenant, sum(1 for _ in run)) for tenant, run in runs),
        ids=tuple(stub.id for stub in stubs),
        times=tuple(stub.time or stub.received for stub in stubs),
        sizes=tuple(map(len, records)),
        received_min_us=int(received.min()),
        received_max_us=int(received.max()),
    )


def facts_of(contents: Contents) -> SegmentFacts:
    """What the catalog keeps of a segment.

    Raises:
        CorruptError: a time that cannot be read.
    """
    times = times_us(contents.times)
    tenants = chain.from_iterable(starmap(repeat, contents.tenants))
    return SegmentFacts(
        time_min_us=int(times.min()),
        time_max_us=int(times.max()),
        received_min_us=contents.received_min_us,
        received_max_us=contents.received_max_us,
        tenants=_parts(contents.tenants, contents.sizes),
        keys=keys_of(tenants, contents.ids),
    )


def _parts(runs: Iterable[tuple[str, int]], sizes: Sequence[int]) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    start = start_byte = 0
    for tenant, count in runs:
        end, end_byte = start + count, start_byte + sum(sizes[start : start + count]) + count
        before = parts.get(tenant)
        if before is None:
            parts[tenant] = Part(start, end, start_byte, end_byte)
        else:
            parts[tenant] = Part(before.start, end, before.start_byte, end_byte)
        start, start_byte = end, end_byte
    return parts


def keys_of(tenants: Iterable[str], ids: Iterable[str]) -> bytes:
    """One key a pair, as little-endian uint64: what the id index knows an event by.

    The first 8 bytes of SHA-256: whoever asks compares the events themselves, so a collision costs
    a look, and nobody can make them at will to hide a repeat.
    """
    sha256 = hashlib.sha256
    digests = b"".join(
        [
            sha256(f"{tenant}\0{id}".encode()).digest()
            for tenant, id in zip(tenants, ids, strict=True)
        ]
    )
    return np.frombuffer(digests, "<u8")[::4].tobytes()


def key_of(tenant: str, id: str) -> int:
    """The key of one pair, as in `keys_of`."""
    return int.from_bytes(keys_of((tenant,), (id,)), "little")


def times_us(texts: Sequence[str]) -> Int64s:
    """RFC 3339 texts as µs, cut to the µs exactly as `parse_time` cuts them.

    Arrow reads the usual shapes ten times faster, once there are some; what it refuses (a leap
    second, a fraction of ten digits) is read one by one.

    Raises:
        CorruptError: a text that `parse_time` refuses.
    """
    if len(texts) < _FEW:
        return _one_by_one(texts)
    array = pa.array(texts, pa.string())
    try:
        return _int64s(array.cast(pa.timestamp("us", "UTC")))
    except pa.ArrowInvalid:
        pass
    try:
        return _int64s(array.cast(pa.timestamp("ns", "UTC"))) // 1000
    except pa.ArrowInvalid:
        return _one_by_one(texts)


def _one_by_one(texts: Sequence[str]) -> Int64s:
    try:
        return np.fromiter(map(parse_time, texts), np.int64, len(texts))
    except ValueError as error:
        raise CorruptError(f"a record's time cannot be read: {error}") from error


def _int64s(timestamps: pa.Array) -> Int64s:
    numbers: Int64s = timestamps.cast(pa.int64()).to_numpy()
    return numbers


def names_in(record: Record) -> Names:
    """What a record says of who did it and to what, as the columns have it.

    Raises:
        CorruptError: bytes that are no record.
    """
    try:
        event = _EVENTS.decode(record)
    except (msgspec.MsgspecError, RecursionError):
        event = _tolerant(record)
    targets = frozenset(text for target in event.targets for text in (target.id, target.name))
    return Names(event.id, event.actor.id, event.actor.name, event.source.ip, targets)


def payload_types_of(records: pa.ChunkedArray) -> list[str]:
    """What kind of foreign event each record has; "" where none, or none that can be read."""
    return [_payload_type(record) for record in records.cast(pa.binary()).to_pylist()]


def _payload_type(record: Record) -> str:
    try:
        return _TYPES.decode(record).payload_type
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        return _TYPES.decode(_shallow(record)).payload_type
    except msgspec.MsgspecError:
        return ""


def _events_of(part: Lines) -> list[_Event]:
    try:
        try:
            return _EVENTS.decode_lines(part.data)
        except (msgspec.MsgspecError, RecursionError):
            return [_tolerant(line) for line in part.data.split(b"\n")[:-1]]
    except CorruptError as error:
        raise CorruptError(f"segment {part.segment} of node {part.node}: {error}") from error


def _tolerant(line: bytes) -> _Event:
    """Any JSON object: a field of another type than ours (an encrypted one) is passed over.

    And so is what nests deeper than a parser's stack. Whatever `facts` accepts is accepted here,
    so that no record that was entered ever stops a search.
    """
    line = _shallow(line)
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
        received = event["received"]
    except (msgspec.MsgspecError, KeyError):
        return _bare(line)
    targets = event.get("targets")
    source = event.get("source")
    return _Event(
        received=_text(received),
        id=_text(event.get("id")),
        time=_text(event.get("time")),
        tenant=_text(event.get("tenant")),
        actor=_named(event.get("actor")),
        action=_text(event.get("action")),
        targets=tuple(_named(target) for target in targets) if isinstance(targets, list) else (),
        outcome=_text(event.get("outcome")),
        source=_Source(_text(source.get("ip"))) if isinstance(source, dict) else _NOWHERE,
    )


def _shallow(line: bytes) -> bytes:
    """The same JSON, with null for what nests deeper than any field of ours."""
    depth = kept = 0
    pieces: list[bytes] = []
    for token in _TOKENS.finditer(line):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == _DEPTH_MAX + 1:
                pieces += [line[kept : token.start()], b"null"]
        elif token[0] in (b"]", b"}"):
            if depth == _DEPTH_MAX + 1:
                kept = token.end()
            depth -= 1
    return b"".join([*pieces, line[kept:]]) if pieces else line


def _bare(line: bytes) -> _Event:
    try:
        stub = _STUBS.decode(line)
    except msgspec.MsgspecError as error:
        raise CorruptError(f"a record cannot be read: {error}") from error
    return _Event(received=stub.received, id=stub.id, time=stub.time, tenant=stub.tenant)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _named(value: object) -> _Named:
    if not isinstance(value, dict):
        return _NOBODY
    return _Named(_text(value.get("id")), _text(value.get("name")))


def _stub_of(event: _Event) -> _Stub:
    return _Stub(received=event.received, id=event.id, time=event.time, tenant=event.tenant)


def _event_columns(events: list[_Event]) -> dict[str, pa.Array]:
    received = [event.received for event in events]
    received_us = times_us(received)
    times = [event.time for event in events]
    time_us = times_us([time or other for time, other in zip(times, received, strict=True)])
    actors = [event.actor for event in events]
    targets = [event.targets for event in events]
    offsets = np.zeros(len(events) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, targets), np.int32, len(events)), out=offsets[1:])
    flat = [text for target in chain.from_iterable(targets) for text in (target.id, target.name)]
    return {
        "time_us": pa.array(time_us),
        "received_us": pa.array(received_us),
        "tenant": _words([event.tenant for event in events]),
        "id": pa.array([event.id for event in events], pa.string()),
        "actor": _words([actor.id for actor in actors]),
        "actor_name": _words([actor.name for actor in actors]),
        "action": _words([event.action for event in events]),
        "outcome": _words([event.outcome for event in events]),
        "ip": pa.array([event.source.ip for event in events], pa.string()),
        "targets": pa.ListArray.from_arrays(pa.array(offsets * 2), pa.array(flat, pa.string())),
    }


def _place_columns(parts: Sequence[Lines], sizes: list[int]) -> dict[str, pa.Array]:
    numbers: dict[str, int] = {}
    codes = [numbers.setdefault(part.node, len(numbers)) for part in parts]
    counts = np.array(sizes, np.int64)
    starts = np.cumsum(counts) - counts
    firsts = np.array([part.first for part in parts], np.int64)
    positions = np.repeat(firsts - starts, counts) + np.arange(counts.sum())
    return {
        "node": pa.DictionaryArray.from_arrays(
            pa.array(np.repeat(np.array(codes, np.int32), counts)),
            pa.array(list(numbers), pa.string()),
        ),
        "segment": pa.array(np.repeat(np.array([p.segment for p in parts], np.int64), counts)),
        "position": pa.array(positions),
    }


def _words(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.string()).dictionary_encode()

"""Make the objects of a unit, or check those that another region has. Runs in a worker.

Either way ends the same: the parts are read back row by row, and give the root in the name of every
segment that the unit covers. What does not is refused and put nowhere.
"""

import hashlib
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from msgspec import Struct, structs

from holdfast.archive.classes import Classes
from holdfast.archive.leaves import COLUMNS, Leaves, Sealed
from holdfast.archive.lines import Archived, Gone, Head, Part, Remains
from holdfast.archive.parts import LAKE, Made, check_columns, made_of, read_groups
from holdfast.archive.rules import Rule
from holdfast.errors import CorruptError
from holdfast.model import NodeId
from holdfast.proof import (
    MalformedError,
    MismatchError,
    ProofError,
    merkle,
    names,
    objects,
    statements,
)
from holdfast.proof.floors import Tree, went_of
from holdfast.proof.merkle import CompactRange
from holdfast.proof.names import SegmentName
from holdfast.proof.note import VerifierKey
from holdfast.read.fold import give_back_memory, ordered
from holdfast.read.sources import SegmentSource
from holdfast.regions import segment
from holdfast.regions.kinds import Archive, Trailer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

EVIDENCE_LEVEL = 1  # most of it is hashes, which higher levels only make larger
_PART = b'{"line":"part"'
LINE_BYTES_MAX = 32 << 20  # a trailer, and the leaves that it speaks of


Members = Mapping[tuple[NodeId, int], Sequence[tuple[str, int]]]  # of segments, as signed


class Held(Struct, frozen=True):
    """A segment's bytes in the spool: `size_bytes` from `offset` on."""

    node: NodeId
    name: str
    offset: int
    size_bytes: int


class Job(Struct, frozen=True):
    """A unit to make. spool: a file with all segments, `held` in it by node and index. keys: the
    nodes' public ones. folder: for what is made, and scratch; empty. rules: by which rows are put
    into classes."""

    unit: str
    generation: int
    trail: str
    tag_key: bytes
    keys: dict[NodeId, bytes]
    spool: str
    held: tuple[Held, ...]
    folder: str
    rules: tuple[Rule, ...] = ()


class Copied(Struct, frozen=True):
    """A unit's objects as they were read from a region, to be checked. names: of the segments that
    it must hold, by node and index. remains: of the classes that are let go, whose parts are not
    among `parts`. Others as in `Job`."""

    unit: str
    generation: int
    trail: str
    tag_key: bytes
    keys: dict[NodeId, bytes]
    names: tuple[tuple[NodeId, str], ...]
    evidence: Made
    parts: tuple[Made, ...]
    folder: str
    remains: tuple[Made, ...] = ()


def make(job: Job) -> tuple[Made, ...]:
    """Make the parts and, last, the evidence.

    Raises:
        CorruptError: a segment is not what its name and its node say.
        SourceError: the spool holds other bytes than it was given.
        OSError: the folder cannot be written.
    """
    folder = Path(job.folder)
    told = {"holdfast": f"{job.unit} {job.generation}"}
    try:
        with Path(job.spool).open("rb") as spool:
            sealed = [_sealed(held, _bytes_of(held, spool), job) for held in job.held]
            with ExitStack() as sorting:
                groups = ordered([_source(job, h) for h in job.held], folder / "sorted", sorting)
                classes = Classes(job.rules, folder, told)
                for table in groups:
                    classes.take(table)
                parts = classes.close()
            leaves = _leaves_of([made for made, _ in parts], sealed, folder)
            lines = (
                Archived(one.node, one.name.text, _note_of(_bytes_of(held, spool)), found)
                for held, (one, found) in zip(job.held, leaves.each(job.tag_key), strict=True)
            )
            path = folder / "evidence.ndjson.zst"
            _write(path, Head(job.unit, job.generation), [facts for _, facts in parts], lines)
    except ProofError as error:
        raise CorruptError(f"the archive of {job.unit} cannot be made: {error}") from error
    give_back_memory()
    return (*(made for made, _ in parts), made_of(path, ""))


def check(job: Copied) -> None:
    """Check that what a region holds is the archive of these segments, columns and all.

    Raises:
        CorruptError: it is not; says why.
        OSError: a file cannot be read.
    """
    try:
        with closing(read_evidence(Path(job.evidence.path))) as lines:
            head, several = next(lines, None), []
            if head != Head(job.unit, job.generation):
                raise MismatchError("its evidence is that of another unit")
            archived = []
            for line in lines:
                if isinstance(line, Archived):
                    archived.append(line.leaves)
                    several.append(_sealed_of(line, job))
                elif not isinstance(line, Part):
                    raise MismatchError("its evidence has two heads")
        if [(one.node, one.name.text) for one in several] != list(job.names):
            raise MismatchError("its evidence names other segments than are in the ledgers")
        for part in job.parts:
            for table in read_groups(Path(part.path), LAKE.names):
                check_columns(table)
        leaves = _leaves_of(job.parts, several, Path(job.folder))
        for made in job.remains:
            _take_remains(leaves, made, job.unit, several)
        each = leaves.each(job.tag_key, archived)
        for (one, found), told in zip(each, archived, strict=True):
            if found != told:
                raise MismatchError(f"the leaves of segment {one.name.index} are others")
    except (ProofError, CorruptError, pa.ArrowException, KeyError) as error:
        raise CorruptError(f"the archive of {job.unit} does not hold: {error}") from error
    give_back_memory()


def check_named(job: Copied, archive: Archive) -> tuple[tuple[NodeId, str], ...]:
    """Check that what a region holds is what its manifest says; the segments that it is of, which
    `job` does not say.

    Raises:
        As `check`.
    """
    try:
        names = segments_named(archive, Path(job.evidence.path))
    except ProofError as error:
        raise CorruptError(f"the archive of {job.unit} does not hold: {error}") from error
    check(structs.replace(job, names=names))
    return names


def segments_named(archive: Archive, evidence: Path) -> tuple[tuple[NodeId, str], ...]:
    """The segments in a unit's evidence: all that its manifest says, one after the other.

    Raises:
        ProofError: it is malformed, or has others.
    """
    lines = [line for line in read_evidence(evidence) if isinstance(line, Archived)]
    lost = {(n, i) for n, start, end in archive.gaps for i in range(start, end)}
    wanted = [
        (node, index)
        for node, start, end, *_ in archive.ledgers
        for index in range(start, end)
        if (node, index) not in lost
    ]
    if [(line.node, SegmentName.parse(line.segment).index) for line in lines] != wanted:
        raise MismatchError("its evidence has other segments than the manifest says")
    return tuple((line.node, line.segment) for line in lines)


class Leaving(Struct, frozen=True):
    """A class of a unit that is to be let go. evidence, parts: as in `Copied`, of that class."""

    unit: str
    retention: str
    evidence: Made
    parts: tuple[Made, ...]
    folder: str


def make_remains(job: Leaving) -> tuple[Made, Tree]:
    """Make the object with what stays of a class; and the tree over what goes.

    Raises:
        CorruptError: its rows are not of the segments that the evidence has.
        OSError: the folder cannot be written.
    """
    folder = Path(job.folder)
    path = folder / "remains.ndjson.zst"
    try:
        lines = read_evidence(Path(job.evidence.path))
        sealed = [_as_told(line) for line in lines if isinstance(line, Archived)]
        leaves = _leaves_of(job.parts, sealed, folder)
        with zstd.open(path, "wb", level=EVIDENCE_LEVEL) as file:
            file.write(objects.form(Remains(job.unit, job.retention)))
            members, tree = _members(sealed), merkle.EMPTY_RANGE
            for gone in leaves.gone():
                file.write(objects.form(gone))
                tree = _grown(tree, members, gone)
    except (ProofError, pa.ArrowException, KeyError) as error:
        raise CorruptError(f"{job.retention} of {job.unit} does not hold: {error}") from error
    made = made_of(path, "", sum(part.rows for part in job.parts))
    return made, Tree(tree.size, tree.root())


def read_remains(path: Path, unit: str) -> Generator[Gone, None, None]:
    """What went of the segments of a unit. Raises ProofError."""
    lines = _lines(path)
    head = next(lines, b"")
    if objects.parse(head, Remains).unit != unit:
        raise MismatchError("what stays of a class is of another unit")
    for line in lines:
        yield objects.parse(line, Gone)


def facts_in(file: BytesIO, sha256: str) -> dict[str, Part]:
    """What evidence says of its parts, by their hashes. sha256: of its bytes. Raises ProofError."""
    if hashlib.sha256(file.getbuffer()).hexdigest() != sha256:
        raise MismatchError("the evidence does not hash to its name")
    found: dict[str, Part] = {}
    with closing(_lines(file)) as lines:
        objects.parse(next(lines, b""), Head)
        for line in lines:
            if not line.startswith(_PART):
                break
            part = objects.parse(line, Part)
            found[part.sha256] = part
    return found


def _lines(source: Path | BytesIO) -> Generator[bytes, None, None]:
    try:
        with zstd.open(source, "rb") as file:
            yield from iter(lambda: file.readline(LINE_BYTES_MAX), b"")
    except (zstd.ZstdError, EOFError) as error:
        raise MalformedError(f"what should be zstd does not decompress: {error}") from error


def read_evidence(path: Path) -> Generator[Head | Part | Archived, None, None]:
    """The lines of an evidence object. Raises ProofError."""
    for number, line in enumerate(_lines(path)):
        if not number:
            yield objects.parse(line, Head)
        elif line.startswith(_PART):
            yield objects.parse(line, Part)
        else:
            yield objects.parse(line, Archived)


def _write(path: Path, head: Head, parts: Sequence[Part], segments: Iterator[Archived]) -> None:
    with zstd.open(path, "wb", level=EVIDENCE_LEVEL) as file:
        file.write(objects.form(head))
        for facts in parts:
            file.write(objects.form(facts))
        for line in segments:
            file.write(objects.form(line))


def _leaves_of(parts: Sequence[Made], sealed: Sequence[Sealed], folder: Path) -> Leaves:
    leaves = Leaves(sealed, folder / "hashes")
    for part in parts:
        rows = 0
        for table in read_groups(Path(part.path), COLUMNS):
            leaves.take(table)
            rows += len(table)
        if rows != part.rows:
            raise MismatchError(f"part {part.sha256} has {rows} rows, not {part.rows}")
    return leaves


def _take_remains(leaves: Leaves, made: Made, unit: str, sealed: Sequence[Sealed]) -> None:
    rows, members, tree = 0, _members(sealed), merkle.EMPTY_RANGE
    for gone in read_remains(Path(made.path), unit):
        leaves.take_gone(gone)
        rows += sum(end - start for start, end in gone.rows)
        tree = _grown(tree, members, gone)
    if rows != made.rows:
        raise MismatchError(f"{rows} rows are let go, where a floor says {made.rows}")
    if made.gone not in (None, Tree(tree.size, tree.root())):
        raise MismatchError("other rows are let go than a floor says")


def _members(sealed: Sequence[Sealed]) -> Members:
    return {(one.node, one.name.index): one.tags for one in sealed}


def _grown(tree: CompactRange, members: Members, gone: Gone) -> CompactRange:
    """The tree over what went, with that of one segment more."""
    went = went_of(members[gone.node, gone.segment], gone.rows)
    return tree.extend(merkle.leaf_hashes(each.leaf for each in went))


def _bytes_of(held: Held, spool: BinaryIO) -> bytes:
    spool.seek(held.offset)
    return spool.read(held.size_bytes)


def _sealed(held: Held, data: bytes, job: Job) -> Sealed:
    name, origin = SegmentName.parse(held.name), names.ledger_origin(job.trail, held.node)
    trailer = segment.verify_trailer(data, name, job.keys[held.node], origin)
    return Sealed(held.node, name, trailer.tenants)


def _as_told(line: Archived) -> Sealed:
    """A segment by a line that was checked when it was archived."""
    trailer = statements.read(line.trailer.encode(), Trailer).statement
    return Sealed(line.node, SegmentName.parse(line.segment), trailer.tenants)


def _sealed_of(line: Archived, job: Copied) -> Sealed:
    """A segment by its line, whose trailer its node signed."""
    name, origin = SegmentName.parse(line.segment), names.ledger_origin(job.trail, line.node)
    if line.node not in job.keys:
        raise MismatchError(f"its evidence has a segment of node {line.node}, which nobody knows")
    key = VerifierKey(origin, job.keys[line.node])
    trailer = statements.verify(line.trailer.encode(), Trailer, key).statement
    if trailer.segment != name.unhashed or len(line.leaves) != name.tenants:
        raise MismatchError(f"the trailer of segment {name.index} is another's")
    return Sealed(line.node, name, trailer.tenants)


def _note_of(data: bytes) -> str:
    return segment.trailer_note(data).decode()


def _source(job: Job, held: Held) -> SegmentSource:
    name = SegmentName.parse(held.name)
    return SegmentSource(
        node=held.node,
        index=name.index,
        first=name.first,
        count=name.count,
        path=job.spool,
        sha256=name.sha256.hex(),
        time_min_us=0,
        time_max_us=0,
        offset=held.offset,
        size_bytes=held.size_bytes,
    )

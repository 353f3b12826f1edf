"""Stating that segments are lost: what is stated was looked for in every region, by this process.

A wrong gap would have readers pass over what is only away for a while. So every region of the
settings must answer, but those that a person says are gone for good, and none of them may hold a
good copy of any segment in the range.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from holdfast.errors import CorruptError, Problem, RejectedError, UnavailableError
from holdfast.keep.drift import holds
from holdfast.keep.objects import why_wrong
from holdfast.keep.survey import Survey, Surveyor
from holdfast.ports import Host
from holdfast.proof import ProofError, names, statements
from holdfast.proof.names import SegmentName
from holdfast.proof.statements import Birth, Gap
from holdfast.regions import Regions, layout, segment, signing
from holdfast.regions.layout import GapKey, SegmentKey
from holdfast.regions.port import Present, RegionId, Unknown
from holdfast.regions.sets import lacking_sight
from holdfast.regions.signing import SigningKey

Holders = Mapping[SegmentName, list[RegionId]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person wants to state: the segments [start, end) of a node are lost.

    gone: regions that are gone for good. by, cause: for people.
    """

    node: str
    start: int
    end: int
    gone: tuple[RegionId, ...]
    by: str
    cause: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A gap that may be stated. data: its note. is_new: no region has it yet. corrupt: (region,
    key) of copies that are there and are not good."""

    key: str
    data: bytes
    gap: Gap
    is_new: bool
    corrupt: tuple[tuple[RegionId, str], ...]


async def propose_gap(
    regions: Regions, trail_key: SigningKey, host: Host, asked: Asked
) -> Proposed:
    """Look everywhere, and sign what follows; nothing is stored.

    Where the very gap is stated somewhere already, that statement is the one to go on with.

    Raises:
        RejectedError: it is not so, or cannot be known yet; says why.
        UnavailableError: a region does not answer.
        CorruptError: two regions hold different statements of this gap.
    """
    _check_asked(regions, asked)
    survey = await Surveyor(regions).survey(whole=True)
    _check_looked(regions, survey, asked)
    _check_archives(survey, asked)
    birth_of = _births(survey, asked)
    node_key = survey.node_keys[asked.node].public
    look = _Look(regions, survey, asked.node, node_key, birth_of)
    corrupt = await look.for_copies(asked.start, asked.end)
    key = layout.gap_key(asked.node, asked.start, asked.end)
    stated = await _stated(regions, survey, key)
    if stated:
        gap = statements.verify_gap(stated, regions.trail).statement
        return Proposed(key, stated, gap, False, corrupt)
    _check_overlap(survey, asked)
    first, after_us = await look.before(asked.start)
    next_, until_us = await look.behind(asked.end)
    gap = Gap(
        trail_key=trail_key.public,
        start=asked.start,
        end=asked.end,
        first=first,
        next=next_,
        after_us=after_us,
        until_us=until_us,
        regions=tuple((id, regions.by_id[id].store_uuid) for id in sorted(survey.held)),
        gone=tuple(sorted(asked.gone)),
        by=asked.by,
        cause=asked.cause,
        declared_us=host.now_us(),
    )
    data = signing.write(gap, names.ledger_origin(regions.trail, asked.node), trail_key)
    return Proposed(key, data, gap, True, corrupt)


def _rejected(option: str, reason: str) -> RejectedError:
    return RejectedError("no-gap", Problem(0, option, reason))


def _check_asked(regions: Regions, asked: Asked) -> None:
    if not asked.start < asked.end:
        raise _rejected("--to", "lies not behind --from: the range is [FROM, TO)")
    for id in asked.gone:
        if id not in regions.by_id:
            raise _rejected("--region-gone", f"{id} is no region of the settings")


def _check_looked(regions: Regions, survey: Survey, asked: Asked) -> None:
    silent = {id: why for id, why in survey.absent.items() if id not in asked.gone}
    if silent:
        told = "; ".join(f"{id}: {why}" for id, why in sorted(silent.items()))
        raise UnavailableError(
            f"not every region could be looked at ({told}). One that is gone for good, with all "
            "that it held, is named with --region-gone"
        )
    for id in asked.gone:
        if id in survey.held:
            raise _rejected("--region-gone", f"{id} is not gone: it answers")
    if lacking := lacking_sight(regions.sets, survey.held.keys()):
        raise UnavailableError(
            f"of the regions {', '.join(sorted(lacking.ids))} {lacking.count(survey.held.keys())} "
            f"answer, {lacking.needed} are needed to know anything"
        )


def _check_archives(survey: Survey, asked: Asked) -> None:
    for id, spans in survey.archived.items():
        for index in range(asked.start, asked.end):
            if holds(spans, asked.node, index):
                told = f"segment {index} is not lost: the archive of region {id} has it"
                raise _rejected("--from", told)


def _births(survey: Survey, asked: Asked) -> Mapping[int, Birth]:
    """The node's births by epoch, where its ledger is known to reach beyond the range."""
    if asked.node not in survey.node_keys:
        raise _rejected("--node", "no region shows a birth of such a node")
    reach = max(each.size for (node, _), each in survey.extents.items() if node == asked.node)
    if asked.end > reach:
        raise _rejected(
            "--to", f"the ledger is known to reach {reach} segments: beyond that, nothing is lost"
        )
    return {epoch: birth for (node, epoch), birth in survey.births.items() if node == asked.node}


def _check_overlap(survey: Survey, asked: Asked) -> None:
    for text in survey.gaps:
        key = layout.parse_key(text)
        if not isinstance(key, GapKey) or key.node != asked.node:
            continue
        if key.start < asked.end and asked.start < key.end:
            told = f"the segments {key.start} up to {key.end} are declared lost already"
            raise _rejected("--from", told)


async def _stated(regions: Regions, survey: Survey, key: str) -> bytes:
    """The statement as regions have it; b"" where none has."""
    found: dict[bytes, RegionId] = {}
    for id, held in survey.held.items():
        answer = await regions.by_id[id].read(key) if key in held else None
        if isinstance(answer, Unknown):
            raise UnavailableError(f"region {id} lists {key} and cannot read it: {answer.reason}")
        if isinstance(answer, Present):
            if wrong := why_wrong(key, answer.data, regions.trail, survey.node_keys):
                raise CorruptError(f"the copy of {key} in region {id} is not good: {wrong}")
            found.setdefault(answer.data, id)
    if len(found) > 1:
        raise CorruptError(f"{' and '.join(found.values())} hold different statements under {key}")
    return next(iter(found), b"")


class _Look:
    """Finds a node's segments in what was surveyed."""

    def __init__(
        self,
        regions: Regions,
        survey: Survey,
        node: str,
        node_key: bytes,
        births: Mapping[int, Birth],
    ) -> None:
        self._regions = regions
        self._survey = survey
        self._node = node
        self._node_key = node_key
        self._births = births
        self._ends = [end for (of, _), end in survey.ends.items() if of == node]

    async def for_copies(self, start: int, end: int) -> tuple[tuple[RegionId, str], ...]:
        """Read every copy of segments [start, end): none may be good."""
        corrupt: list[tuple[RegionId, str]] = []
        for name, holders in sorted(self._named(start, end).items(), key=lambda one: one[0].text):
            key = layout.segment_key(self._node, name)
            for id in holders:
                answer = await self._regions.by_id[id].read(key)
                if isinstance(answer, Unknown):
                    raise UnavailableError(
                        f"segment {name.index} is listed in region {id} and cannot be read there: "
                        f"{answer.reason}"
                    )
                if not isinstance(answer, Present):
                    continue
                if not why_wrong(key, answer.data, self._regions.trail, self._survey.node_keys):
                    raise _rejected(
                        "--from", f"segment {name.index} is not lost: region {id} has a good copy"
                    )
                corrupt.append((id, key))
        return tuple(corrupt)

    async def before(self, start: int) -> tuple[int | None, int]:
        """Events before segment `start`, where known, and a time before all from there on."""
        epoch = self._epoch_of(start)
        birth = self._births[epoch]
        after_us = max(birth.base.sealed_us, birth.started_us)
        if birth.base.size == start:
            return birth.base.first, after_us
        name = await self._genuine(start - 1) if start else None
        if name is None:
            return None, after_us
        return name.first + name.count, name.sealed_us

    async def behind(self, end: int) -> tuple[int | None, int | None]:
        """Events before segment `end`, and a time at or after all of those; where known."""
        for each in self._ends:
            if each.size == end:
                return each.first, each.sealed_us
        name = await self._genuine(end)
        if name is not None:
            return name.first, name.sealed_us
        return None, min((e.sealed_us for e in self._ends if e.size > end), default=None)

    def _epoch_of(self, index: int) -> int:
        return max(epoch for epoch, birth in self._births.items() if birth.base.size <= index)

    def _named(self, start: int, end: int) -> Holders:
        """The names of segments [start, end) that are in the ledger, and who lists them."""
        found: dict[SegmentName, list[RegionId]] = {}
        for id, keys in self._survey.held.items():
            for name in _segments(keys, self._node):
                if start <= name.index < end and name.epoch == self._epoch_of(name.index):
                    found.setdefault(name, []).append(id)
        return found

    async def _genuine(self, index: int) -> SegmentName | None:
        """The name of a segment whose bytes the node signed."""
        for name, holders in self._named(index, index + 1).items():
            for id in holders:
                answer = await self._regions.by_id[id].read(layout.segment_key(self._node, name))
                if isinstance(answer, Present) and self._is_signed(name, answer.data):
                    return name
        return None

    def _is_signed(self, name: SegmentName, data: bytes) -> bool:
        key = layout.segment_key(self._node, name)
        if why_wrong(key, data, self._regions.trail, self._survey.node_keys):
            return False
        origin = names.ledger_origin(self._regions.trail, self._node)
        try:
            segment.verify_trailer(data, name, self._node_key, origin)
        except ProofError:
            return False
        return True


def _segments(keys: Iterable[str], node: str) -> Iterable[SegmentName]:
    prefix = layout.segments_prefix(node)
    for text in keys:
        if text.startswith(prefix):
            key = layout.known_key(text)
            if isinstance(key, SegmentKey):
                yield key.name

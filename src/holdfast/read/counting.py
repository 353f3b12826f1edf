"""How many events match, kept: what was counted in a file that never changes is not counted again.

Folds and segments are immutable, so what a question finds in those that lie whole in its time stays
true for as long as they are there. For each question, over as long a time, that is kept twice: what
it found in folds, and in all. When only new segments came since, they alone are counted; once they
are folded, what folds have is added to; where folds were merged, or the time has moved past some,
it is counted anew. Where every event of a fold counts alike, how many it has is known without it.

A job takes a few files, and there is one at a time, so that a search waits for no more than these,
however much is counted; what is kept waits for nobody.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence, Set

from msgspec import Struct, structs

from holdfast.errors import Problem, RejectedError
from holdfast.model import Counts, Query
from holdfast.read.engine import DEFAULTS
from holdfast.read.query import check, check_groups
from holdfast.read.search import TOO_MANY, refuse_many, run_counts
from holdfast.read.sources import (
    NOWHERE,
    FoldSource,
    Places,
    SegmentSource,
    Source,
    hidden_in,
    prune,
)

JOB_FOLDS = 8
JOB_SEGMENTS = 512
KEPT_MAX = 250_000  # names, groups and buckets, of all questions together: some 40 MB
SECONDS_MAX = DEFAULTS.timeout_s

EVERYTHING = Query(limit=1)

Name = tuple[str, object]  # of a source: the hash of its bytes, and which part of it


class Question(Struct, frozen=True):
    """What is counted, by the values of some fields and by time."""

    query: Query
    by: tuple[str, ...]
    bucket_us: int | None

    def is_told(self, source: Source) -> bool:
        """Whether all events of a source that lies whole in its time count, and alike."""
        if self.by or not isinstance(source, FoldSource):
            return False
        is_plain = structs.replace(self.query, from_us=None, to_us=None, limit=1) == EVERYTHING
        return is_plain and self._bucket(source.time_min_us) == self._bucket(source.time_max_us)

    def of_all(self, source: Source) -> Counts:
        """What such a source comes to."""
        bars = () if self.bucket_us is None else ((self._bucket(source.time_min_us), source.count),)
        return Counts(source.count, histogram=bars)

    def _bucket(self, time_us: int) -> int:
        return time_us // self.bucket_us * self.bucket_us if self.bucket_us else 0


class Key(Struct, frozen=True):
    """What something is kept for. asked: without its times; span_us: from one to the other, so that
    a time of one length that moves on does not take the place of another."""

    asked: Question
    span_us: int | None
    folds_only: bool


class Kept(Struct, frozen=True):
    """What a question comes to in some sources. problems: why it is refused for that."""

    names: frozenset[Name]
    counts: Counts
    problems: tuple[Problem, ...] = ()

    @property
    def size(self) -> int:
        return len(self.names) + len(self.counts.groups) + len(self.counts.histogram)


NOTHING = Kept(frozenset(), Counts(0))


class Counting:
    """Counts for everyone who asks a reader. run: has a worker do a job."""

    def __init__(self, run: Callable[..., Awaitable[Counts]]) -> None:
        self._run = run
        self._turn = asyncio.Semaphore(1)
        self._kept: OrderedDict[Key, Kept] = OrderedDict()
        self._size = 0

    async def count(
        self,
        sources: Sequence[Source],
        question: Question,
        hidden: Places,
        unread: Collection[str] = (),
    ) -> Counts:
        """See `search.run_counts`.

        Args:
            unread: folds, by hash, that are to be read whatever is known of them.
        Raises:
            RejectedError: as there; the time is that of all jobs together.
            SourceError: as there.
        """
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await self._count(sources, question, hidden, unread)
        except TimeoutError:
            reason = f"to count took longer than {SECONDS_MAX:g} s: narrow its times or filters"
            raise RejectedError("too-slow", Problem(0, "", reason)) from None

    async def _count(
        self,
        sources: Sequence[Source],
        question: Question,
        hidden: Places,
        unread: Collection[str],
    ) -> Counts:
        check_groups(question.by, question.bucket_us)
        wanted = check(question.query)
        found = prune(sources, wanted)
        whole = [
            source
            for source in found
            if wanted.from_us <= source.time_min_us
            and source.time_max_us <= wanted.newest_us
            and not (hidden and hidden_in([source], hidden))
        ]
        told = [each for each in whole if each.sha256 not in unread and question.is_told(each)]
        known = {_name(source) for source in told}
        whole = [source for source in whole if _name(source) not in known]
        names = {_name(source) for source in whole}
        key = _key(question, folds_only=False)
        kept = self._known(key, names)
        if not kept.names:
            folds = [source for source in whole if isinstance(source, FoldSource)]
            of_folds = _key(question, folds_only=True)
            kept = self._known(of_folds, {_name(fold) for fold in folds})
            kept = await self._extended(of_folds, kept, folds)
        kept = await self._extended(key, kept, whole)
        rest = [source for source in found if _name(source) not in names | known]
        parts = [await self._ask(some, question, hidden) for some in _jobs(rest)]
        parts += map(question.of_all, told)
        return _sum(kept.counts, *parts) if parts else kept.counts

    def _known(self, key: Key, names: Set[Name]) -> Kept:
        """What is kept, if all that it was counted in is still there."""
        kept = self._kept.get(key, NOTHING)
        if not kept.names <= names:
            return NOTHING
        if kept.problems:
            raise RejectedError(TOO_MANY, *kept.problems)
        return kept

    async def _extended(self, key: Key, kept: Kept, sources: Sequence[Source]) -> Kept:
        """What is kept, and what is not in it yet; as far as that came, if it is given up."""
        names = kept.names
        try:
            for some in _jobs([each for each in sources if _name(each) not in kept.names]):
                names |= {_name(source) for source in some}
                kept = Kept(names, _sum(kept.counts, await self._ask(some, key.asked, NOWHERE)))
        except RejectedError as error:
            if error.kind == TOO_MANY:
                kept = Kept(names, Counts(0), error.problems)
            raise
        finally:
            self._keep(key, kept)
        return kept

    async def _ask(self, sources: Sequence[Source], question: Question, hidden: Places) -> Counts:
        query, by, bucket_us = question.query, question.by, question.bucket_us
        async with self._turn:
            return await self._run(run_counts, sources, query, by, bucket_us, hidden)

    def _keep(self, key: Key, kept: Kept) -> None:
        before = self._kept.pop(key, NOTHING)
        self._kept[key] = kept
        self._size += kept.size - before.size
        while self._size > KEPT_MAX and len(self._kept) > 1:
            _, least = self._kept.popitem(last=False)
            self._size -= least.size


def _key(question: Question, *, folds_only: bool) -> Key:
    from_us, to_us = question.query.from_us, question.query.to_us
    timeless = structs.replace(question.query, from_us=None, to_us=None)
    span_us = None if from_us is None or to_us is None else to_us - from_us
    return Key(structs.replace(question, query=timeless), span_us, folds_only)


def _name(source: Source) -> Name:
    return source.sha256, None if isinstance(source, FoldSource) else source.part


def _jobs(sources: Sequence[Source]) -> Iterator[list[Source]]:
    """A few of one kind at a time."""
    for kind, size in ((SegmentSource, JOB_SEGMENTS), (FoldSource, JOB_FOLDS)):
        some = [source for source in sources if isinstance(source, kind)]
        for start in range(0, len(some), size):
            yield some[start : start + size]


def _sum(*counts: Counts) -> Counts:
    groups: Counter[tuple[str, ...]] = Counter()
    buckets: Counter[int] = Counter()
    for each in counts:
        groups.update(dict(each.groups))
        buckets.update(dict(each.histogram))
    refuse_many("by", groups)
    refuse_many("bucket", buckets)
    return Counts(
        count=sum(each.count for each in counts),
        groups=tuple(sorted(groups.items(), key=lambda group: (-group[1], group[0]))),
        histogram=tuple(sorted(buckets.items())),
    )

"""Which indexes a region has shown, as ascending, disjoint [start, end) ranges. Pure.

A ledger is dense, so a region that holds all of it needs one range, whatever its length.
"""

from collections.abc import Iterable, Iterator

Ranges = tuple[tuple[int, int], ...]


def of_indexes(indexes: Iterable[int]) -> Ranges:
    """The ranges that cover exactly these indexes."""
    found: list[tuple[int, int]] = []
    for index in sorted(set(indexes)):
        if found and found[-1][1] == index:
            found[-1] = (found[-1][0], index + 1)
        else:
            found.append((index, index + 1))
    return tuple(found)


def union(one: Ranges, other: Ranges) -> Ranges:
    """What lies in either."""
    found: list[tuple[int, int]] = []
    for start, end in sorted((*one, *other)):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return tuple(found)


def last(ranges: Ranges) -> Ranges:
    """The last index that the ranges hold, if any."""
    return ((ranges[-1][1] - 1, ranges[-1][1]),) if ranges else ()


def minus(one: Ranges, other: Ranges) -> Ranges:
    """What lies in `one` and not in `other`."""
    return tuple(_minus(one, other))


def count(ranges: Ranges) -> int:
    """How many indexes the ranges hold."""
    return sum(end - start for start, end in ranges)


def _minus(one: Ranges, other: Ranges) -> Iterator[tuple[int, int]]:
    for start, end in one:
        at = start
        for from_, to in other:
            if to <= at or from_ >= end:
                continue
            if from_ > at:
                yield at, from_
            at = to
        if at < end:
            yield at, end

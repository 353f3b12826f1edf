"""Which decoded events match: what `sql` says of folds, asked of columns in memory. Pure.

By Arrow's own functions, whose regular expressions are RE2's, as DuckDB's are: to ask DuckDB costs
5 ms, before it has looked at a single event.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.model import NodeId
from holdfast.read.query import Phrase, Spot, Wanted
from holdfast.read.sources import Hit, Positions
from holdfast.read.words import whole

Rows = npt.NDArray[np.int64]
_HIT = ("time_us", "node", "position", "segment", "size_bytes")


def matching(table: pa.Table, wanted: Wanted, hidden: Mapping[NodeId, Positions]) -> Rows:
    """The rows that match and are not hidden.

    table: of SCHEMA, or of NARROW where no phrase is wanted; in any number of chunks.
    """
    kept: npt.NDArray[np.bool_] = reduce(pc.and_, _tests(table, wanted)).to_numpy()
    for node, positions in hidden.items():
        is_there = np.isin(table["position"].to_numpy(), positions.astype(np.int64))
        kept &= ~(is_there & pc.equal(table["node"], node).to_numpy())
    for phrase in wanted.phrases:
        records = table["record"].filter(pa.array(kept))
        kept[kept] = _says(records, phrase)
    return np.flatnonzero(kept)


def newest(table: pa.Table, rows: Rows, limit: int) -> list[Hit]:
    """The newest of some rows, in order."""
    if not len(rows):
        return []
    if len(rows) > limit:
        times = table["time_us"].to_numpy()[rows]
        rows = rows[times >= np.partition(times, -limit)[-limit]]
    columns = table.select(_HIT).take(pa.array(rows)).to_pydict().values()
    hits = [
        Hit(Spot(time, node, position), segment, size, "", -1)
        for time, node, position, segment, size in zip(*columns, strict=True)
    ]
    return sorted(hits, key=lambda hit: hit.spot, reverse=True)[:limit]


def _tests(table: pa.Table, wanted: Wanted) -> Iterator[pa.ChunkedArray]:
    """What must be true of a row, save for its text."""
    time = table["time_us"]
    yield pc.greater_equal(time, wanted.from_us)
    yield pc.less_equal(time, wanted.newest_us)
    for name in ("outcome", "ip", "id"):
        if value := getattr(wanted, name):
            yield pc.equal(table[name], value)
    if wanted.tenant is not None:
        yield pc.equal(table["tenant"], wanted.tenant)
    if wanted.action:
        test: Callable[..., pa.ChunkedArray] = pc.starts_with if wanted.prefix else pc.equal
        yield test(table["action"].cast(pa.string()), wanted.action)
    if wanted.actor:
        yield pc.or_(*(pc.equal(table[name], wanted.actor) for name in ("actor", "actor_name")))
    if wanted.target:
        found = np.zeros(len(table), np.bool_)
        is_it = pc.equal(pc.list_flatten(table["targets"]), wanted.target).to_numpy()
        found[pc.list_parent_indices(table["targets"]).to_numpy()[is_it]] = True
        yield pa.chunked_array([found])
    if wanted.before is not None:
        yield _before(table, wanted.before)


def _before(table: pa.Table, spot: Spot) -> pa.ChunkedArray:
    """Whether a row, which is not newer, comes after a spot on the way from new to old."""
    node = table["node"].cast(pa.string())
    is_same = pc.and_(pc.equal(node, spot.node), pc.less(table["position"], spot.position))
    is_earlier = pc.or_(pc.less(table["time_us"], spot.time_us), pc.less(node, spot.node))
    return pc.or_(is_earlier, is_same)


def _says(records: pa.ChunkedArray, phrase: Phrase) -> npt.NDArray[np.bool_]:
    """Which records have a text in any case, in one of its spellings."""
    found = np.zeros(len(records), np.bool_)
    for text in phrase.spellings:
        has_it = pc.match_substring(records, text, ignore_case=True).to_numpy()
        if phrase.is_whole:  # the text alone is quick to find, and rare
            some = records.filter(pa.array(has_it))
            has_it[has_it] = pc.match_substring_regex(some, whole(text), ignore_case=True)
        found |= has_it
    return found

# ruff: noqa: S608  (what is put together here is our own text; values are parameters)
"""The SQL of a search: fixed text with places for values, and the values beside it. Pure text.

A relation is a call that takes the files' paths as its first value. What it says of events,
`matching` says of those in memory.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from holdfast.read.query import Wanted
from holdfast.read.words import whole

HIDDEN = "hidden"
FOLDS = "read_parquet(?, file_row_number = true)"
# Parts of the archive, with the columns of folds.
PARTS = (
    "(SELECT epoch_us(time) AS time_us, epoch_us(received) AS received_us,"
    f" * EXCLUDE (time, received), filename FROM {FOLDS})"
)
ALL, GROUP, BUCKET = 0, 1, 2
ORDER = "ORDER BY time_us DESC, node DESC, position DESC"

# Characters that no other case of a letter can stand for.
_CASELESS = re.compile(r"[\x00-@\[-`{-\x7f]+")
_CASELESS_MIN = 3


class Part(Struct, frozen=True):
    """A piece of SQL, and the values of its question marks in order."""

    text: str
    values: tuple[object, ...] = ()


def matches(wanted: Wanted) -> list[Part]:
    """Conditions of which an event fulfils exactly one if it is wanted, and else none.

    An actor goes by id or by name: as two conditions on one column each, an engine can skip row
    groups for either (57 ms as one OR over a million events, 7 as two).
    """
    parts = [
        Part("time_us >= ?", (wanted.from_us,)),
        Part("time_us <= ?", (wanted.newest_us,)),
    ]
    if wanted.tenant is not None:
        parts.append(Part("tenant = ?", (wanted.tenant,)))
    if wanted.action:
        compare = "starts_with(action, ?)" if wanted.prefix else "action = ?"
        parts.append(Part(compare, (wanted.action,)))
    parts += [
        Part(f"{name} = ?", (value,))
        for name, value in (("outcome", wanted.outcome), ("ip", wanted.ip), ("id", wanted.id))
        if value
    ]
    if wanted.target:
        parts.append(Part("list_contains(targets, ?)", (wanted.target,)))
    if wanted.before is not None:
        spot = wanted.before
        parts.append(
            Part(
                "(time_us < ? OR node < ? OR (node = ? AND position < ?))",
                (spot.time_us, spot.node, spot.node, spot.position),
            )
        )
    for phrase in wanted.phrases:
        ways = [_contains(text, phrase.is_whole) for text in phrase.spellings]
        text = " OR ".join(f"({way.text})" for way in ways)
        parts.append(Part(f"({text})", tuple(value for way in ways for value in way.values)))
    both = _all(parts)
    if not wanted.actor:
        return [both]
    by_id = Part("actor = ?", (wanted.actor,))
    by_name = Part("actor_name = ? AND actor <> ?", (wanted.actor, wanted.actor))
    return [_all([by_id, both]), _all([by_name, both])]


def page(relation: Part, conditions: Sequence[Part], *, hiding: bool, limit: int) -> Part:
    """The newest events of a relation, as columns of a `Hit`."""
    columns = Part("time_us, node, position, segment, size_bytes, filename, file_row_number")
    rows = _union([_select(columns, relation, part, hiding) for part in conditions])
    return Part(f"SELECT * FROM ({rows.text}) {ORDER} LIMIT ?", (*rows.values, limit))


def counts(
    relation: Part,
    conditions: Sequence[Part],
    by: Sequence[str],
    bucket_us: int | None,
    *,
    hiding: bool,
    limit: int,
) -> Part:
    """Counts over all events, per group and per bucket, in one pass.

    Rows: the fields of `by`, bucket, n, and kind: ALL, GROUP or BUCKET. limit: of rows.
    """
    bucket = Part("0")
    if bucket_us is not None:
        # `%` takes the sign of the time: before 1970 a bucket must still begin below it.
        text = "time_us - ((time_us % ?) + ?) % ?"
        bucket = Part(text, (bucket_us, bucket_us, bucket_us))
    columns = Part(", ".join([*by, f"{bucket.text} AS bucket"]), bucket.values)
    rows = _union([_select(columns, relation, part, hiding) for part in conditions])
    group = f"WHEN grouping({by[0]}) = 0 THEN {GROUP}" if by else ""
    kind = f"CASE WHEN grouping(bucket) = 0 THEN {BUCKET} {group} ELSE {ALL} END AS kind"
    sets = ["()", "(bucket)", *([f"({', '.join(by)})"] if by else [])]
    names = ", ".join([*by, "bucket", "count(*) AS n", kind])
    return Part(
        f"SELECT {names} FROM ({rows.text}) GROUP BY GROUPING SETS ({', '.join(sets)}) LIMIT ?",
        (*rows.values, limit),
    )


def records(rows: Sequence[int]) -> Part:
    """The records at some rows of one fold: row, record. Its first value is the file."""
    marks = ", ".join("?" * len(rows))
    return Part(
        f"SELECT file_row_number AS row, record FROM {FOLDS} WHERE file_row_number IN ({marks})",
        tuple(rows),
    )


def _select(columns: Part, relation: Part, condition: Part, hiding: bool) -> Part:
    text = f"SELECT {columns.text} FROM {relation.text} AS e WHERE {condition.text}"
    if hiding:
        text += (
            f" AND NOT EXISTS (SELECT 1 FROM {HIDDEN} AS h"
            " WHERE h.node = e.node AND h.position = e.position)"
        )
    return Part(text, (*columns.values, *relation.values, *condition.values))


def _union(parts: Sequence[Part]) -> Part:
    return Part(
        " UNION ALL ".join(part.text for part in parts),
        tuple(value for part in parts for value in part.values),
    )


def _all(parts: Sequence[Part]) -> Part:
    return Part(
        " AND ".join(part.text for part in parts),
        tuple(value for part in parts for value in part.values),
    )


def _contains(text: str, is_whole: bool) -> Part:
    """Text in any case. What has no case is looked for first: that costs half as much."""
    if is_whole:
        found = Part("regexp_matches(record, ?, 'i')", (whole(text),))
    else:
        found = Part("regexp_matches(record, ?, 'li')", (text,))
    longest = max(_CASELESS.findall(text), key=len, default="")
    if len(longest) < _CASELESS_MIN:
        return found
    return _all([Part("contains(record, ?)", (longest,)), found])

"""Rows that are not those that were sealed never pass for them."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from holdfast.archive.leaves import Leaves, Sealed
from holdfast.proof import MismatchError
from holdfast.regions import segment
from tests.proof import samples

TENANTS = {record: tenant for tenant, group in samples.GROUPS.items() for record in group}
SEALED, _ = samples.ledger_of(3)


def rows() -> list[dict[str, object]]:
    """Those of three segments, in an order of their own."""
    found = [
        {
            "tenant": TENANTS[record],
            "node": samples.NODE,
            "segment": sealed.name.index,
            "position": sealed.name.first + line,
            "record": record.decode(),
        }
        for sealed in SEALED
        for line, record in enumerate(sealed.records)
    ]
    return sorted(found, key=lambda row: (str(row["tenant"]), str(row["record"])))


def leaves_of(found: Sequence[dict[str, object]], scratch: Path) -> list[tuple[str, ...]]:
    sealed = [Sealed(samples.NODE, each.name, tags_of(each.records)) for each in SEALED]
    leaves = Leaves(sealed, scratch / "hashes")
    for start in range(0, len(found), 7):
        leaves.take(pa.Table.from_pylist(list(found[start : start + 7])))
    return [told for _, told in leaves.each(samples.TAG_KEY)]


def tags_of(records: Sequence[bytes]) -> tuple[tuple[str, int], ...]:
    """The tags in a segment's trailer, as it was sealed."""
    sealed = next(each for each in SEALED if each.records is records)
    return segment.read_trailer(sealed.data).statement.tenants


def test_rows_in_any_order_give_the_leaves_that_give_the_roots(tmp_path: Path) -> None:
    found = leaves_of(rows(), tmp_path)

    assert [len(leaves) for leaves in found] == [3, 3, 3]
    assert all(list(leaves) == sorted(leaves) for leaves in found)


def without(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return found[1:]


def twice(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [*found[1:], found[1]]


def another_record(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**found[0], "record": str(found[0]["record"]).replace("a", "b", 1)}, *found[1:]]


def another_tenant(found: list[dict[str, object]]) -> list[dict[str, object]]:
    whole = [row for row in found if row["tenant"] == "blå"]
    return [{**row, "tenant": "blo"} if row in whole else row for row in found]


def mixed_tenants(found: list[dict[str, object]]) -> list[dict[str, object]]:
    at = next(n for n, row in enumerate(found) if row["tenant"] == "acme")
    return [{**row, "tenant": "other"} if n == at else row for n, row in enumerate(found)]


def beyond(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**found[0], "position": 10**6}, *found[1:]]


def of_another_segment(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**found[0], "segment": 3}, *found[1:]]


def of_another_node(found: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{**found[0], "node": "0" * 32}, *found[1:]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (without, "1 rows are missing"),
        (twice, "two rows claim one place"),
        (another_record, "do not make its root"),
        (another_tenant, "under another tenant's tag"),
        (mixed_tenants, "of several tenants"),
        (beyond, "no place in its segment"),
        (of_another_segment, "not archived here"),
        (of_another_node, "not archived here"),
    ],
)
def test_any_other_rows_are_refused(
    tmp_path: Path,
    change: Callable[[list[dict[str, object]]], list[dict[str, object]]],
    why: str,
) -> None:
    with pytest.raises(MismatchError, match=why):
        leaves_of(change(rows()), tmp_path)

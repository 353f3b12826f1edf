"""Rows that are not those that were sealed never pass for them."""

import dataclasses
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.archive.leaves import Leaves, Sealed, _Salt
from holdfast.archive.lines import Gone
from holdfast.proof import MismatchError, objects
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


def leaves_of(
    found: Sequence[dict[str, object]],
    scratch: Path,
    gone: Sequence[Gone] = (),
    told: Sequence[tuple[str, ...]] = (),
) -> list[tuple[str, ...]]:
    leaves = taken(found, scratch)
    for line in gone:
        leaves.take_gone(line)
    return [each for _, each in leaves.each(samples.TAG_KEY, told)]


def taken(found: Sequence[dict[str, object]], scratch: Path) -> Leaves:
    sealed = [Sealed(samples.NODE, each.name, tags_of(each.records)) for each in SEALED]
    leaves = Leaves(sealed, scratch / "hashes")
    for start in range(0, len(found), 7):
        leaves.take(pa.Table.from_pylist(list(found[start : start + 7])))
    return leaves


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


def tenant_of(row: dict[str, object]) -> bool:
    """All that two tenants have: their leaves stay."""
    return row["tenant"] in ("", "blå")


def split(row: dict[str, object]) -> bool:
    """Some of what a tenant has, all of what another has, and nothing of the first segment."""
    is_split = row["tenant"] == "acme" and "-3" not in str(row["record"])
    return row["segment"] != 0 and (is_split or row["tenant"] == "")


@pytest.mark.parametrize(
    ("goes", "hashes"),
    [
        (tenant_of, 0),
        (split, 8),
        (lambda row: row["segment"] == 1, 0),
        (lambda row: row["position"] == 3, 1),
    ],
)
def test_what_is_left_gives_the_roots_with_what_stays_of_the_rest(
    tmp_path: Path, goes: Callable[[dict[str, object]], bool], hashes: int
) -> None:
    told = leaves_of(rows(), tmp_path)
    gone = list(taken([row for row in rows() if goes(row)], tmp_path).gone())
    left = [row for row in rows() if not goes(row)]

    assert leaves_of(left, tmp_path, gone, told) == told
    assert sum(len(line.hashes) for line in gone) == hashes
    assert [objects.parse(objects.form(line), Gone) for line in gone] == gone


def test_two_classes_that_went_one_after_the_other_leave_what_is_needed(tmp_path: Path) -> None:
    told = leaves_of(rows(), tmp_path)
    parts = [[row for row in rows() if int(str(row["position"])) % 3 == n] for n in range(3)]
    gone = [line for part in parts[1:] for line in taken(part, tmp_path).gone()]

    assert leaves_of(parts[0], tmp_path, gone, told) == told


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"hashes": ()}, "1 rows want a hash, and there are 0"),
        ({"hashes": (bytes(32),)}, "do not make its root"),
        ({"rows": ((2, 3), (2, 3))}, "no place in their segment"),
        ({"rows": ((7, 9),)}, "no place in their segment"),
        ({"rows": ((2,),)}, "no place in their segment"),
        ({"rows": ()}, "no place in their segment"),
        ({"rows": ((1, 2),)}, "two rows claim one place"),
        ({"segment": 3}, "not archived here"),
        ({"node": "0" * 32}, "not archived here"),
    ],
)
def test_any_other_remains_are_refused(tmp_path: Path, change: dict[str, object], why: str) -> None:
    told = leaves_of(rows(), tmp_path)
    at = max(row["position"] for row in rows() if row["segment"] == 0 and row["tenant"] == "acme")  # type: ignore[type-var]
    goes = [row for row in rows() if row["position"] == at]
    [line] = taken(goes, tmp_path).gone()
    left = [row for row in rows() if row["position"] != at]

    with pytest.raises(MismatchError, match=why):
        leaves_of(left, tmp_path, [dataclasses.replace(line, **change)], told)  # type: ignore[arg-type]


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_what_hides_a_tenant_is_hmac(salt: bytes, text: bytes) -> None:
    assert _Salt(salt).digest(text) == hmac.digest(salt, text, "sha256")

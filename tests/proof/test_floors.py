"""What went of each tenant: from the lines of a segment to the leaves of a floor's tree."""

from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.proof import MalformedError
from holdfast.proof.floors import Went, went_of

TAG = "a" * 64


def ranges(lines: Sequence[int]) -> tuple[tuple[int, int], ...]:
    runs = [[n for _, n in run] for _, run in groupby(enumerate(lines), lambda at: at[1] - at[0])]
    return tuple((run[0], run[-1] + 1) for run in runs)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_each_line_that_went_is_its_tenant_s(counts: list[int], data: st.DataObject) -> None:
    gone = sorted(data.draw(st.sets(st.integers(0, sum(counts) - 1))))
    members = [(f"{n:064x}", count) for n, count in enumerate(counts)]

    found = [*went_of(members, ranges(gone))]

    expected, at = [], 0
    for tag, count in members:
        own = [line - at for line in gone if at <= line < at + count]
        expected += [Went(tag, count, ranges(own))] if own else []
        at += count
    assert found == expected
    assert sum(each.rows for each in found) == len(gone)
    assert [Went.parse(each.leaf.decode()) for each in found] == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{TAG} 3",
        f"{TAG} 3 ",
        f"{TAG} 3 0-1 ",
        f"{TAG}  3 0-1",
        f"{TAG} 03 0-1",
        f"{TAG} 3 0-01",
        f"{TAG} 3 0-4",
        f"{TAG} 3 1-1",
        f"{TAG} 3 2-1",
        f"{TAG} 3 0-1 1-2",
        f"{TAG} 3 2-3 0-1",
        f"{TAG[1:]} 3 0-1",
        f"{TAG.upper()} 3 0-1",
        f"{TAG} \u0663 0-1",
        f"{TAG} 3 0-1\n",
    ],
)
def test_a_leaf_has_one_form(text: str) -> None:
    with pytest.raises(MalformedError):
        Went.parse(text)

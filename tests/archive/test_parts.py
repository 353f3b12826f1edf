"""Parts whose columns say something else than their records are refused."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from holdfast.archive.parts import LAKE, Parts, check_columns, read_groups
from holdfast.proof import MismatchError
from holdfast.read.decode import Lines, decode
from tests.proof import samples

RECORDS = b"".join(record + b"\n" for group in samples.GROUPS.values() for record in group)


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    """Rows as they are read back from a part."""
    parts = Parts(tmp_path, "default", {"holdfast": "x 1"})
    parts.take(decode([Lines(samples.NODE, 0, 0, RECORDS)]))
    [(made, facts)] = parts.close()
    assert (made.rows, facts.tenants) == (8, ("", "acme", "blå"))
    [found] = read_groups(Path(made.path), LAKE.names)
    return found


def test_columns_that_are_read_off_the_records_are_right(table: pa.Table) -> None:
    check_columns(table)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("action", lambda column: pa.array(["other"] * len(column))),
        ("tenant", lambda column: pa.array(["acme"] * len(column))),
        ("time", lambda column: pc.add(column, pa.scalar(1, pa.duration("us")))),
        ("targets", lambda column: pa.array([["x"]] * len(column))),
        ("size_bytes", lambda column: pc.add(column, 1)),
    ],
)
def test_a_column_that_says_something_else_is_named(
    table: pa.Table, name: str, change: Callable[[pa.ChunkedArray], pa.Array]
) -> None:
    at = table.column_names.index(name)
    changed = table.set_column(at, name, change(table[name]))

    with pytest.raises(MismatchError, match=f"the column {name} "):
        check_columns(changed)

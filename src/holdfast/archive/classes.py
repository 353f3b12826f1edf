"""The rows of a unit, to the parts of their classes: one sorted stream becomes one a class."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from holdfast.archive.lines import Part
from holdfast.archive.parts import Made, Parts, read_groups
from holdfast.archive.rules import Rule, class_of
from holdfast.read.decode import payload_types_of
from holdfast.regions.units import CLASS_DEFAULT

Codes = npt.NDArray[np.int64]
_ASKED = ["tenant", "action", "record"]  # the columns that rules ask for


class Classes:
    """Takes a unit's tables in order, and writes the parts of each class."""

    def __init__(self, rules: Sequence[Rule], folder: Path, told: dict[str, str]) -> None:
        """told: as in `Parts`."""
        self._rules = tuple(rules)
        self._folder = folder
        self._told = told
        self._parts: dict[str, Parts] = {}

    def take(self, table: pa.Table) -> None:
        """Hand each row to the class of the first rule that takes it."""
        for name, rows in split(table, self._rules):
            if name not in self._parts:
                self._parts[name] = Parts(self._folder, name, self._told)
            self._parts[name].take(rows)

    def close(self) -> list[tuple[Made, Part]]:
        """All parts, by class."""
        return [each for name in sorted(self._parts) for each in self._parts[name].close()]


def split(table: pa.Table, rules: Sequence[Rule]) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each class, in the order that they have. table: of a fold."""
    if not rules:
        yield CLASS_DEFAULT, table
        return
    names, codes = _classes_of(table, rules)
    for code, name in enumerate(names):
        mask = codes == code
        yield name, table if mask.all() else table.filter(pa.array(mask))


def classes_in(paths: Sequence[str], rules: Sequence[Rule]) -> tuple[str, ...]:
    """The classes that the rows of some parts are of, by these rules."""
    tables = (table for path in paths for table in read_groups(Path(path), _ASKED))
    return tuple(sorted({name for table in tables for name in _classes_of(table, rules)[0]}))


def _classes_of(table: pa.Table, rules: Sequence[Rule]) -> tuple[list[str], Codes]:
    """The classes that rows are of, and for each row the number of its own.

    The rules are asked once for each combination of values: these are few, and rows are many.
    """
    tenants, whose = _coded(table["tenant"])
    actions, which = _coded(table["action"])
    types, of_type = [""], np.zeros(len(table), np.int64)
    if any(rule.payload_types for rule in rules):
        found = payload_types_of(table["record"])
        types, of_type = _coded(pa.chunked_array([pa.array(found, pa.string())]))
    combined = (whose * len(actions) + which) * len(types) + of_type
    several, inverse = np.unique(combined, return_inverse=True)
    numbers: dict[str, int] = {}
    codes = []
    for one in several.tolist():
        rest, kind = divmod(one, len(types))
        tenant, action = divmod(rest, len(actions))
        name = class_of(rules, tenants[tenant], types[kind], actions[action])
        codes.append(numbers.setdefault(name, len(numbers)))
    return list(numbers), np.array(codes, np.int64)[inverse]


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Codes]:
    """The different values, and for each row the number of its own."""
    words = column.cast(pa.string()).dictionary_encode().combine_chunks()
    values: list[str] = words.dictionary.to_pylist()
    return values, words.indices.to_numpy().astype(np.int64)

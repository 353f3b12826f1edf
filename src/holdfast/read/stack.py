"""What of the archive a reader has taken over: units, and their parts as searches take them."""

from collections.abc import Callable, Iterable

from holdfast.read.archive import Adopted, Piece, Unit
from holdfast.read.partfiles import PartFiles
from holdfast.read.shelf import Shelf
from holdfast.read.sources import FoldSource, Stretch


class Stack:
    """See the module. unindexed: units whose events the id index does not know, by name."""

    def __init__(self, files: PartFiles, shelf: Shelf) -> None:
        self.files = files
        self.adopted = Adopted()
        self.unindexed: set[str] = set()
        self._shelf = shelf

    def put(self, units: Iterable[Unit]) -> None:
        """Take over units, or what came to be known of them."""
        for unit in units:
            self.adopted.put(unit)
            self._shelf.put_parts(unit.name, self.parts_of(unit))

    def note_unknown(self, units: Iterable[Unit], is_known: Callable[[Stretch], bool]) -> None:
        """Find out of which of some units the id index does not know the events."""
        self.unindexed |= {u.name for u in units if not all(map(is_known, u.stretches))}

    def pieces_of(self, unit: Unit) -> tuple[Piece, ...]:
        """The parts of a unit that are shown."""
        return unit.pieces

    def parts_of(self, unit: Unit) -> tuple[FoldSource, ...]:
        """The same as a search takes them."""
        folder = str(self.files.folder)
        return tuple(unit.source(piece, folder) for piece in self.pieces_of(unit))

    def is_here(self, unit: Unit) -> bool:
        """Whether all of them are."""
        return all(self.files.has(piece.file) for piece in self.pieces_of(unit))

    def tidy(self) -> None:
        """Forget files of units that are not adopted. Blocking."""
        every = [file for unit in self.adopted.units.values() for file in unit.files]
        self.files.keep_only({file.partition(".")[0] for file in every})

    @property
    def segments(self) -> int:
        """How many are in all units."""
        return sum(unit.segments for unit in self.adopted.units.values())

    @property
    def events(self) -> int:
        """How many are in all units' parts."""
        every = (self.pieces_of(unit) for unit in self.adopted.units.values())
        return sum(piece.rows for pieces in every for piece in pieces)

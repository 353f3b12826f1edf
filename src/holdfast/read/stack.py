"""What of the archive a reader has taken over: units, and their parts as searches take them."""

from collections.abc import Callable, Iterable, Mapping

from holdfast.model import NodeId, RetainedOut
from holdfast.read.archive import Adopted, Piece, Unit, received_in
from holdfast.read.partfiles import PartFiles
from holdfast.read.shelf import Shelf
from holdfast.read.sources import FoldSource, Stretch, may_hold
from holdfast.regions.retained import Floor
from holdfast.regions.retaining import Out
from holdfast.regions.units import end_us, length_us


class Stack:
    """See the module. unindexed: units whose events the id index does not know, by name."""

    def __init__(self, files: PartFiles, shelf: Shelf) -> None:
        self.files = files
        self.adopted = Adopted()
        self.unindexed: set[str] = set()
        self.untold: dict[str, Unit] = {}  # whose evidence was not read
        self.floors: Mapping[Out, Floor] = {}
        self.retained_out: tuple[RetainedOut, ...] = ()
        self._shelf = shelf

    def put(self, units: Iterable[Unit]) -> None:
        """Take over units, or what came to be known of them."""
        for unit in units:
            self.adopted.put(unit)
            self.untold.pop(unit.name, None)
            if not unit.is_told:
                self.untold[unit.name] = unit
            self._shelf.put_parts(unit.name, self.parts_of(unit))

    def note_unknown(self, units: Iterable[Unit], is_known: Callable[[Stretch], bool]) -> None:
        """Find out of which of some units the id index does not know the events."""
        self.unindexed |= {u.name for u in units if not all(map(is_known, u.stretches))}

    def let_go(self, floors: Mapping[Out, Floor]) -> tuple[Piece, ...]:
        """Show nothing of these classes any more; what of them was shown until now."""
        fresh = floors.keys() - self.floors.keys()
        if not fresh:
            return ()
        self.floors = dict(floors)
        self.retained_out = _summed(self.floors)
        adopted = self.adopted.units
        shown = [adopted[name] for name in {name for name, _ in fresh} if name in adopted]
        for unit in shown:
            self._shelf.put_parts(unit.name, self.parts_of(unit))
        return tuple(
            piece
            for unit in shown
            for piece in unit.pieces
            if (unit.name, piece.retention) in fresh
        )

    def floors_of(self, unit: Unit) -> tuple[Floor, ...]:
        """What was let go of a unit."""
        return tuple(floor for (name, _), floor in self.floors.items() if name == unit.name)

    def let_go_within(self, from_us: int, to_us: int, tenant: str | None) -> tuple[Floor, ...]:
        """What was let go of events that may have been received then, of a tenant or of all."""
        found = []
        for (name, retention), floor in sorted(self.floors.items()):
            unit = self.adopted.units.get(name)
            if unit is None:
                continue
            low, high = received_in(unit)
            whose = {t for p in unit.pieces if p.retention == retention for t in p.tenants}
            if low < to_us and from_us < high and (tenant is None or tenant in whose):
                found.append(floor)
        return tuple(found)

    def pieces_of(self, unit: Unit) -> tuple[Piece, ...]:
        """The parts of a unit that are shown."""
        return tuple(p for p in unit.pieces if (unit.name, p.retention) not in self.floors)

    def parts_of(self, unit: Unit) -> tuple[FoldSource, ...]:
        """The same as a search takes them."""
        folder = str(self.files.folder)
        return tuple(unit.source(piece, folder) for piece in self.pieces_of(unit))

    def parts_at(self, node: NodeId, position: int, tenant: str | None) -> tuple[FoldSource, ...]:
        """The parts of the unit that has an event; of those, which may have any of a tenant."""
        there = self.adopted.at(node, position)
        assert there is not None, "what was adopted stays so"
        return tuple(part for part in self.parts_of(there[0]) if may_hold(part, tenant))

    def is_here(self, unit: Unit) -> bool:
        """Whether all of them are."""
        return all(self.files.has(piece.file) for piece in self.pieces_of(unit))

    def tidy(self) -> None:
        """Forget files of units that are not adopted. Blocking."""
        every = [file for unit in self.adopted.units.values() for file in unit.files]
        every += [floor.remains for floor in self.floors.values()]
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


def _summed(floors: Mapping[Out, Floor]) -> tuple[RetainedOut, ...]:
    """What was let go, rule by rule."""
    by: dict[tuple[str, str], list[Floor]] = {}
    for floor in floors.values():
        by.setdefault((floor.retention, floor.rule), []).append(floor)
    return tuple(
        RetainedOut(
            *(retention, rule),
            min(end_us(floor.unit) - length_us(floor.unit) for floor in several),
            max(end_us(floor.unit) for floor in several),
            len(several),
            sum(floor.rows for floor in several),
        )
        for (retention, rule), several in sorted(by.items())
    )

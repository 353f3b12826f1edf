"""Which class of which unit may go, and why another may not yet. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from holdfast.archive.lines import Part
from holdfast.archive.rules import Rule
from holdfast.regions import layout, units
from holdfast.regions.kinds import Archive
from holdfast.regions.layout import ArchivedKey, ArchiveKey
from holdfast.regions.port import Listed, RegionId
from holdfast.regions.retained import Floor, Hold
from holdfast.regions.retaining import Out, objects_left
from holdfast.times import format_us, parse_time

UNLIKE = (
    "archives have other rows in this class, {}: they were made by other rules. Move that day's"
    " folder of one region aside; an archivist copies another's there"
)
LEFT_OVER_US = units.DAY_US  # whoever put a part that nothing names has ended by then


class Expiring(Struct, frozen=True):
    """A class of a unit for which some rule has a `max`, or that is let go already.

    rule: in words. rows, size_bytes: of one copy. due_us: when it may go; 0: no rule says. floored:
    whether it is let go. why: what is in the way now. removed: (region, parts, bytes), of a dry run
    what lies there. left: (region, why) for those where parts of it stay. holds: that keep it.
    """

    unit: str
    retention: str
    rule: str
    rows: int
    size_bytes: int
    due_us: int
    floored: bool
    why: tuple[str, ...] = ()
    removed: tuple[tuple[RegionId, int, int], ...] = ()
    left: tuple[tuple[RegionId, str], ...] = ()
    holds: tuple[str, ...] = ()

    def late_us(self, now_us: int) -> int:
        """For how long it should be gone by now; 0: it is let go, or may stay."""
        stays = self.floored or self.holds or not self.due_us
        return 0 if stays else max(0, now_us - self.due_us)


class Known(Struct, frozen=True):
    """The archive of a region. listed: what lies in it, by key."""

    units: Mapping[str, Archive]
    listed: Mapping[str, Listed]


def candidates(
    known: Mapping[RegionId, Known], rules: Iterable[Rule], out: Mapping[Out, Floor]
) -> list[Out]:
    """The classes of units that some rule lets go some day, or that are let go."""
    limited = {rule.name for rule in rules if rule.max}
    found = {
        (unit, of)
        for each in known.values()
        for unit, archive in each.units.items()
        for of, *_ in archive.parts
        if of in limited
    }
    return sorted(found | out.keys())


def described(
    at: Out, archives: Iterable[Archive], rule: Rule | None, floor: Floor | None
) -> Expiring:
    """What is known of a class of a unit before anything is looked at. archives: that have it."""
    unit, retention = at
    parts = next((list(parts_in(each, retention)) for each in archives), [])
    told = rule.text if rule is not None else ""
    return Expiring(
        unit=unit,
        retention=retention,
        rule=floor.rule if floor is not None else told,
        rows=floor.rows if floor is not None else sum(rows for *_, rows in parts),
        size_bytes=sum(size for _, size, _ in parts),
        due_us=due_of(unit, rule),
        floored=floor is not None,
    )


def due_of(unit: str, rule: Rule | None) -> int:
    """When a class of a unit may go, in µs; 0: no rule says."""
    return units.end_us(unit) + rule.max_us if rule is not None and rule.max else 0


def why_too_young(unit: str, rule: Rule | None, floored: bool, through_us: int | None) -> str:
    """Why the age of a class forbids that it goes; "": it does not.

    What a rule said when a floor was stated is not asked again, but for its `min`: nothing that is
    younger than that goes, whoever says so. through_us: everything through then is known; a clock
    that is wrong makes nothing old.
    """
    if rule is None:
        return "" if floored else "no rule says when it goes"
    days = rule.min if floored else rule.max
    if not days and not floored:
        return "no rule says when it goes"
    due_us = units.end_us(unit) + days * units.DAY_US
    if through_us is not None and through_us >= due_us:
        return ""
    return f"too young until {format_us(due_us)}"


def parts_in(archive: Archive, retention: str) -> Iterator[tuple[str, int, int]]:
    """(SHA-256, bytes, rows) of the parts of a class."""
    return ((sha256, size, rows) for name, sha256, size, rows in archive.parts if name == retention)


def holding(
    holds: Iterable[Hold], hashes: Collection[str], facts: Mapping[str, Part]
) -> tuple[Hold, ...]:
    """The holds that may hold a record of some parts. facts: what evidence says of parts; one that
    it says nothing of may hold anything."""
    return tuple(
        hold
        for hold in holds
        if any(sha256 not in facts or _touches(hold, facts[sha256]) for sha256 in hashes)
    )


def _touches(hold: Hold, part: Part) -> bool:
    return hold.touches(part.tenants, parse_time(part.earliest), parse_time(part.latest))


def to_remove(
    known: Known, floor: Floor, out: Collection[Out], now_us: int
) -> tuple[tuple[Listed, ...], str]:
    """What a region must delete below a floor, and why it may not: "" where it may.

    With the parts of the class go those that nothing names any more: they may have its rows. What
    names them may be a manifest that does not verify, as read this time; so then nothing goes. And
    they stay while the day lacks anything that is named: they may be all that is left of it there.
    out: the classes that are let go.
    """
    archive = known.units.get(floor.unit)
    if archive is None:
        return (), "its archive does not have this unit"
    if unread := _unread(known, units.day_of(floor.unit)):
        return (), f"a manifest there does not verify: {unread}"
    hashes = {sha256 for sha256, *_ in parts_in(archive, floor.retention)}
    if not hashes <= {sha256 for sha256, *_ in floor.parts}:
        return (), "its archive has other parts in this class than those that were let go"
    day = units.day_of(floor.unit)
    keys = {layout.archived_key(day, floor.retention, sha256) for sha256 in hashes}
    if _has_all(known, day, out):
        keys |= set(_left_over(known, day, now_us))
    return tuple(known.listed[key] for key in sorted(keys) if key in known.listed), ""


def _unread(known: Known, day: str) -> str:
    """A manifest of a day that lies in a region and is not among those that are known, and that no
    later one takes the place of; "": there is none."""
    keys = [key for key in map(layout.known_key, known.listed) if isinstance(key, ArchiveKey)]
    for key in (key for key in keys if units.day_of(key.unit) == day):
        archive = known.units.get(key.unit)
        if archive is None or archive.generation < key.generation:
            return layout.archive_key(key.unit, key.generation)
    return ""


def _has_all(known: Known, day: str, out: Collection[Out]) -> bool:
    """Whether all that manifests of a day name is listed, but for what is let go."""
    archives = (each for name, each in known.units.items() if units.day_of(name) == day)
    return all(objects_left(each, out).keys() <= known.listed.keys() for each in archives)


def _left_over(known: Known, day: str, now_us: int) -> Iterator[str]:
    """The parts of a day that no manifest of a region names: of a run that died, or of a generation
    before."""
    named = {key for each in known.units.values() for key in each.objects()}
    for key, entry in known.listed.items():
        parsed = layout.known_key(key)
        is_part = isinstance(parsed, ArchivedKey) and parsed.day == day and parsed.retention
        if is_part and key not in named and 0 < entry.modified_us < now_us - LEFT_OVER_US:
            yield key


def left_in(known: Known, out: Collection[Out]) -> dict[str, tuple[int, int]]:
    """The parts of a region that are shown, by key: (bytes, rows)."""
    return {
        key: (size_bytes, rows)
        for archive in known.units.values()
        for left in [objects_left(archive, out)]
        for key, size_bytes, rows in archive.rows()
        if key in known.listed and key in left
    }


def why_unlike(archives: Mapping[RegionId, Archive], retention: str) -> str:
    """Why the archives of a unit cannot let a class go together, as manifests tell; "": they can.
    Whoever made one of them went by other rules."""
    rows = {
        id: sum(rows for *_, rows in parts_in(each, retention)) for id, each in archives.items()
    }
    told = ", ".join(f"{count} in {id}" for id, count in sorted(rows.items()))
    return UNLIKE.format(told) if len(set(rows.values())) > 1 else ""


def distinct(archives: Mapping[RegionId, Archive], retention: str) -> Sequence[RegionId]:
    """One region for each different set of parts of a class."""
    found: dict[tuple[tuple[str, int, int], ...], RegionId] = {}
    for id, archive in sorted(archives.items()):
        found.setdefault(tuple(parts_in(archive, retention)), id)
    return tuple(found.values())

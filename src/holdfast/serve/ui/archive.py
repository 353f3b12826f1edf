"""The page of the archive: what each region has of each day, and what came back from it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from holdfast.archive.archivist import ArchiveReport
from holdfast.archive.shelves import Shelf, Shelves
from holdfast.archive.sweep import SweepReport
from holdfast.regions import units
from holdfast.restore.choice import NEVER
from holdfast.restore.restorer import HOUR_US, RestoreReport
from holdfast.serve.ui import frame
from holdfast.serve.ui.calendar import MONTHS_MAX, Cell, calendar
from holdfast.serve.ui.heat import legend
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.parts import command_box, head, mono, state, table
from holdfast.serve.ui.words import DAY_US, Frame, Mood, clock, counted, size, span

ROWS_MAX: Final = 30
RESTORES_MAX: Final = 10
DAYS_DRAWN_MAX: Final = 31 * MONTHS_MAX
NEW_US: Final = 30 * DAY_US
RECENT_US: Final = 180 * DAY_US
KEPT: Final = (
    ("c3", 9, "whole in the region's archive"),
    ("c2", 6, "some hours of it are"),
    ("c1", 3, "in segments only"),
    ("u", 9, "not there, or not looked at"),
    ("fx", 9, "an object of it is corrupt"),
    ("no", 0, "nothing was stored"),
)
CAME_BACK: Final = (
    ("c3", 9, "restored within 30 days"),
    ("c2", 6, "within half a year"),
    ("c1", 3, "longer ago"),
    ("fx", 9, "failed the last time"),
    ("no", 0, "not tried yet"),
)
_TO_DO: Final = {  # the gravest first
    "failed": "Try it by hand, and from another region; docs/OPERATIONS.md says what follows.",
    "corrupt": "Move the object aside, then `holdfast reconcile`.",
    "lacks": "Nothing: what another region has is copied there.",
}


class ArchiveView(Struct, frozen=True, kw_only=True):
    """days: of the trail; none while they are not known. after_hours: how long after its end this
    server archives a day; 0: it does not. last, swept: the last runs of this process. rotten: by
    region, days with an object that a survey or a scrub found corrupt. where: see
    `CompletenessView`."""

    frame: Frame
    days: tuple[str, ...]
    shelves: Shelves | None
    after_hours: int
    last: ArchiveReport | None
    swept: SweepReport | None
    restored: RestoreReport
    where: str
    rotten: Mapping[str, frozenset[str]] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(region.id for region in self.frame.regions)

    def shelf(self, id: str) -> Shelf | None:
        """What a region's archive was seen to have; None: it was not looked at."""
        return self.shelves.of.get(id) if self.shelves else None

    def spoilt(self, id: str) -> frozenset[str]:
        """The days of which an object is corrupt in a region."""
        shelf = self.shelf(id)
        days = frozenset(map(units.day_of, shelf.spoilt)) if shelf else frozenset()
        return days | self.rotten.get(id, frozenset())


class Wrong(Struct, frozen=True, order=True):
    """Something about a day that is not as it should be. what: of `_TO_DO`."""

    what: str
    region: str
    day: str
    why: str


def render(view: ArchiveView) -> bytes:
    """The whole page, in UTF-8."""
    mood, told = standing(view)
    return frame.render(
        view.frame,
        "Archive",
        el("div", el("h1", state(mood, told)), el("p", *_reach(view)), class_="hd"),
        _wrongs(view),
        _maps(view),
        _regions(view),
        el(
            "div",
            el("div", _restores(view), class_="stack"),
            el("div", _runs(view), _sweeps(view), class_="stack"),
            class_="g2 mt",
        ),
        current="/archive",
    )


# -- how it stands -------------------------------------------------------------------------------


def standing(view: ArchiveView) -> tuple[Mood, str]:
    """All of it in a sentence, the gravest first."""
    found = Counter(each.what for each in wrong(view))
    units_count = {id: len(shelf.whole) for id in view.ids if (shelf := view.shelf(id))}
    if found["failed"]:
        ids = [id for id in view.ids if view.restored.failed(id)]
        return (
            "down",
            f"{counted(found['failed'], 'day')} could not be restored from {', '.join(ids)}",
        )
    if found["corrupt"]:
        return "down", f"An object is corrupt, of {counted(found['corrupt'], 'day')}"
    if view.last is not None and view.last.trouble:
        return "behind", "Archiving stops before it is done"
    if found["lacks"]:
        return "behind", "Not every region's archive has what the others have"
    if view.shelves is None:
        return "unk", "No archive has been looked at since this server started"
    if absent := [id for id in view.ids if id not in units_count]:
        return "unk", f"The archive of {', '.join(absent)} could not be looked at"
    if not any(units_count.values()):
        return "none", "Nothing is archived: every day is in segments only"
    return "held", f"Every region's archive has the same, whole: {_days_of(view)}"


def _days_of(view: ArchiveView) -> str:
    days = {units.day_of(unit) for id in view.ids for unit in _whole(view, id)}
    return counted(len(days), "day")


def _reach(view: ArchiveView) -> Iterator[Child]:
    now_us, last = view.frame.now_us, view.last
    if not view.after_hours:
        yield "This server archives nothing by itself (archive_after_hours is 0). "
    elif last is None:
        yield "The archivist has not run since this server started. "
    else:
        took = span(last.ended_us - last.started_us)
        yield f"The last run ended at {clock(last.ended_us, now_us)}, after {took}. "
    if last is not None and last.trouble:
        yield f"What stopped it: {clip(last.trouble, 300)}. "
    elif last is not None and last.waiting:
        yield f"{last.waiting}. "
    if view.shelves is not None:
        yield f"Archives were compared by names at {clock(view.shelves.seen_us, now_us)}. "
    every_us = view.restored.every_us
    if every_us:
        often = "hour" if every_us == HOUR_US else f"{every_us // HOUR_US} hours"
        yield f"Every {often} a piece of some day is restored from one region alone, as a drill."
    else:
        yield "This server rehearses no restores (restore_drill_hours is 0)."


def wrong(view: ArchiveView) -> list[Wrong]:
    """What a person may have to see to, day by day."""
    has = {id: _whole(view, id) for id in view.ids}
    everywhere = sorted(frozenset().union(*has.values()))
    found = []
    for id in view.ids:
        shelf = view.shelf(id)
        for day, why in view.restored.failed(id):
            found.append(Wrong("failed", id, day, why))
        spoilt = view.spoilt(id)
        found += [Wrong("corrupt", id, day, "an object of it is corrupt") for day in spoilt]
        lacks = [] if shelf is None else [unit for unit in everywhere if unit not in has[id]]
        lacks = [unit for unit in lacks if units.day_of(unit) not in spoilt]
        found += [Wrong("lacks", id, unit, "another region has it whole") for unit in lacks]
    return sorted(found, key=lambda each: (list(_TO_DO).index(each.what), each))


def _whole(view: ArchiveView, id: str) -> frozenset[str]:
    shelf = view.shelf(id)
    return shelf.whole if shelf else frozenset()


def _wrongs(view: ArchiveView) -> Markup | None:
    found = wrong(view)
    if not found:
        return None
    moods = {"failed": "down", "corrupt": "down", "lacks": "behind"}
    rows: list[Sequence[Child]] = [
        (
            state(moods[each.what], each.what),
            _region(each.region),
            _day(each.day),
            _long(clip(each.why, 240)),
            _TO_DO[each.what],
        )
        for each in found[:ROWS_MAX]
    ]
    left = len(found) - ROWS_MAX
    first = found[0]
    which = f"--region {first.region} --day {units.day_of(first.day)}"
    return join(
        [
            head("Days to see to"),
            table("Days to see to", ("Finding", "Region", "Day", "What", "What to do"), rows),
            el("p", f"and {left:,} more", class_="dim") if left > 0 else None,
            el("div", command_box(f"holdfast rehearse {view.where} {which}"), class_="mt"),
        ]
    )


# -- the maps ------------------------------------------------------------------------------------


def _maps(view: ArchiveView) -> Markup:
    if not view.days:
        return el("p", "Which days the trail has is not known yet.", class_="note unk")
    kept, back = "how each day is kept", "when each day was last restored"
    older = len({day[:7] for day in view.days}) > MONTHS_MAX
    view = structs.replace(view, days=view.days[-DAYS_DRAWN_MAX:])
    keeping = [_map(id, _kept_state(view, id), kept_cells(view, id), kept) for id in view.ids]
    coming = [_map(id, _back_state(view, id), came_back_cells(view, id), back) for id in view.ids]
    told = f"The newest {MONTHS_MAX} months. " if older else ""
    return join(
        [
            head("How each day is kept", f"{told}A day is that on which events were stored, UTC."),
            _panel(keeping, KEPT, f"By region: {kept}"),
            head(
                "When each day was last restored",
                f"{told}From this region alone, checked from its events up to a signed root.",
            ),
            _panel(coming, CAME_BACK, f"By region: {back}"),
        ]
    )


def _panel(maps: Sequence[Markup], keys: Sequence[tuple[str, int, str]], label: str) -> Markup:
    inside = el("div", maps, class_="pad g3 heatw")
    return el("section", inside, legend(keys), class_="panel", aria_label=label)


def _map(id: str, said: Markup, cells: Mapping[str, Cell], label: str) -> Markup:
    title = el("header", el("h3", id, class_="rg"), said)
    return el("div", title, calendar(f"Region {id}: {label}", cells))


def _kept_state(view: ArchiveView, id: str) -> Markup:
    shelf = view.shelf(id)
    if shelf is None:
        return state("unk", "not looked at yet")
    if spoilt := view.spoilt(id):
        return state("down", f"corrupt: {counted(len(spoilt), 'day')}")
    days = len(_by_day(shelf.whole))
    return state("held" if days else "none", f"{counted(days, 'day')} archived")


def _back_state(view: ArchiveView, id: str) -> Markup:
    if failed := view.restored.failed(id):
        return state("down", f"{counted(len(failed), 'day')} failed")
    back = sum(bool(each.good_us) for each in view.restored.places.get(id, {}).values())
    return state("held" if back else "none", f"{counted(back, 'day')} restored")


def kept_cells(view: ArchiveView, id: str) -> dict[str, Cell]:
    """How a region keeps each day."""
    first, spoilt = view.days[0], view.spoilt(id)
    own = _by_day(_whole(view, id), first)
    everywhere = _by_day(frozenset().union(*(_whole(view, each) for each in view.ids)), first)
    newest = max(everywhere, default="")  # units are made in order: a day before it that has none
    cells = {}  # is one on which nothing was stored
    for day in view.days:
        held, known = own.get(day, 0), everywhere.get(day, 0)
        css = "c3" if known and held == known else "c2" if held else "c1"
        if view.shelf(id) is None or (known and not held and day not in spoilt):
            css = "u"
        elif not known and day < newest:
            css = "no"
        cells[day] = Cell(css, day in spoilt)
    return cells


def _by_day(found: Iterable[str], first: str = "") -> Counter[str]:
    """How many units each day has, from the first day on."""
    return Counter(units.day_of(unit) for unit in found if unit >= first)


def came_back_cells(view: ArchiveView, id: str) -> dict[str, Cell]:
    """When each day last came back from a region."""
    cells, tried = {}, view.restored.places.get(id, {})
    for day in view.days:
        of = tried.get(day, NEVER)
        ago_us = view.frame.now_us - of.good_us
        css = "c3" if ago_us < NEW_US else "c2" if ago_us < RECENT_US else "c1"
        cells[day] = Cell(css if of.good_us else "no", bool(of.why))
    return cells


def _region(id: str) -> Markup:
    return el("span", id, class_="rg")


def _day(text: str) -> Markup:
    return el("span", text, class_="m nw")


def _long(text: str) -> Markup:
    """What may hold a key, which breaks anywhere."""
    return el("span", text, class_="key-of")


# -- tables --------------------------------------------------------------------------------------


def _regions(view: ArchiveView) -> Markup:
    now_us, restored = view.frame.now_us, view.restored
    rows: list[Sequence[Child]] = []
    for id in view.ids:
        shelf, good_us = view.shelf(id), restored.good_us(id)
        figures = (
            ("not known", "")
            if shelf is None
            else (
                f"{len(shelf.whole):,}",
                size(shelf.size_bytes),
            )
        )
        waits_us = restored.oldest_us.get(id)
        waits: Child = "not known yet" if waits_us is None else span(now_us - waits_us)
        if waits_us is not None and restored.every_us and now_us - waits_us > restored.allowed_us:
            waits = state("behind", span(now_us - waits_us))
        last = mono(clock(good_us, now_us)) if good_us else "never"
        rows.append((_region(id), *figures, last, waits))
    heads = ("Region", ">Days or hours", ">Bytes", "Last restore, UTC", "Longest wait")
    told = "Longest wait: how long the day that waits longest has not been restored."
    return join([head("Regions", told), table("Regions", heads, rows)])


def _restores(view: ArchiveView) -> Markup:
    now_us = view.frame.now_us
    moods: dict[str, Mood] = {"good": "held", "failed": "down", "unchecked": "unk"}
    rows: list[Sequence[Child]] = []
    for each in view.restored.last[:RESTORES_MAX]:
        what = clip(each.what, 60) if each.what.startswith(each.day) else each.day
        came = f"{each.brought.events:,} events, {size(each.brought.size_bytes)}"
        result = state(moods[each.verdict], each.verdict)
        told = came if each.verdict == "good" else clip(each.why, 200)
        when = mono(clock(each.ended_us, now_us))
        rows.append((when, _region(each.region), _day(what), result, _long(told)))
    title = head(
        "Restores", "By this process, newest first; a failure is remembered until it is mended."
    )
    if not rows:
        return el("div", title, el("p", "None since this server started.", class_="dim"))
    heads = ("When, UTC", "From", "Day", "Result", "What was restored")
    return el("div", title, table("Restores", heads, rows))


def _runs(view: ArchiveView) -> Markup:
    title = head("Archiving", "What the last run worked on.")
    last = view.last
    if last is None or not last.units:
        none = "Nothing was left to do." if last is not None else "No run yet."
        box = command_box(f"holdfast archive {view.where} --dry-run")
        return el("div", title, el("p", none, class_="dim"), box)
    rows: list[Sequence[Child]] = [
        (
            _day(each.unit),
            f"{each.events:,}",
            size(each.size_bytes) if each.size_bytes else "",
            ", ".join(each.regions) or "none",
            clip("; ".join(f"{id}: {why}" for id, why in each.lacking), 200),
        )
        for each in last.units[-ROWS_MAX:]
    ]
    heads = ("Day or hour", ">Events", ">Bytes", "Whole in", "Lacking")
    return el("div", title, table("Archiving", heads, rows))


def _sweeps(view: ArchiveView) -> Markup | None:
    swept = view.swept
    if swept is None or not swept.swept:
        return None
    rows: list[Sequence[Child]] = [
        (
            _day(each.unit),
            _region(each.region),
            f"{each.segments:,}",
            size(each.size_bytes),
            clip(each.why, 200),
        )
        for each in swept.swept[:ROWS_MAX]
    ]
    heads = ("Day or hour", "Region", ">Segments", ">Bytes", "What stayed, and why")
    told = "Segments that the region's own archive holds, removed by the last run."
    return el("div", head("Swept", told), table("Swept", heads, rows))

"""The page of retention: rules, what each lets go next, legal holds, what was let go. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from holdfast.archive.rules import Rule
from holdfast.regions.retained import Floor, Hold, Release
from holdfast.regions.retaining import Retaining
from holdfast.retention.expire import RetentionReport
from holdfast.retention.plan import Expiring
from holdfast.serve.ui import frame
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.integrity import Lacking
from holdfast.serve.ui.parts import command_box, head, mono, state, table
from holdfast.serve.ui.words import Frame, Mood, clock, counted, short, size
from holdfast.times import format_us

ROWS_MAX: Final = 30
NEXT_MAX: Final = 10


class RetentionView(Struct, frozen=True, kw_only=True):
    """rules: of the settings. last: the last run of this process. seen: what regions say now, or
    why that is not known. where: see `CompletenessView`."""

    frame: Frame
    rules: tuple[Rule, ...]
    last: RetentionReport | None
    seen: Retaining | Lacking
    where: str


def render(view: RetentionView) -> bytes:
    """The whole page, in UTF-8."""
    mood, told = standing(view)
    return frame.render(
        view.frame,
        "Retention",
        el("div", el("h1", state(mood, told)), el("p", *_reach(view)), class_="hd"),
        _rules(view),
        _next(view),
        _holds(view),
        _floors(view),
        current="/retention",
    )


def standing(view: RetentionView) -> tuple[Mood, str]:
    """All of it in a sentence."""
    if isinstance(view.seen, Lacking):
        return "unk", "What is held, and what was let go, could not be looked up"
    if view.last is not None and view.last.trouble:
        return "behind", "Expiry stops before it is done"
    if view.seen.unread:
        return "behind", "A hold that no copy tells of keeps everything"
    if view.last is not None and any(map(_stays, view.last.expiring)):
        return "behind", "Parts of what was let go are not deleted everywhere yet"
    held = f"{counted(len(view.seen.standing), 'hold')} in force"
    limited = sum(bool(rule.max) for rule in view.rules)
    if not limited and not view.seen.out:
        return "none", f"No rule expires anything: everything is kept; {held}"
    return "held", f"{counted(limited, 'rule')} expire{'s' * (limited == 1)} old events; {held}"


def _reach(view: RetentionView) -> Iterator[Child]:
    last, now_us = view.last, view.frame.now_us
    if last is None:
        yield "No run since this server started; the first comes within minutes, then one an hour. "
    else:
        yield f"The last run ended at {clock(last.ended_us, now_us)}. "
        if last.trouble:
            yield f"What stopped it: {clip(last.trouble, 300)}. "
        for id, why in last.away:
            yield f"{id} could not be looked at: {clip(why, 160)}. "
        if last.through_us is not None:
            yield f"Ages are counted by what was complete then: {format_us(last.through_us)[:19]}. "
    yield "A class of a day goes as a whole, in every region; what stays can still be proven."


def _rules(view: RetentionView) -> Markup:
    title = head("Rules", "Of the settings, in order: the first that matches an event counts.")
    if not view.rules:
        told = "None: every event is of the class default, and stays."
        return join([title, el("p", told, class_="dim")])
    rows: list[Sequence[Child]] = [
        (
            mono(rule.name),
            _globs(rule),
            f"{rule.min:,} days",
            f"{rule.max:,} days" if rule.max else "for ever",
        )
        for rule in view.rules
    ]
    heads = ("Class", "Whose, and what", ">At least", ">At most")
    return join([title, table("Rules", heads, rows)])


def _globs(rule: Rule) -> str:
    named = (
        ("tenants", rule.tenants),
        ("payload types", rule.payload_types),
        ("actions", rule.actions),
    )
    asked = [f"{what} {', '.join(globs)}" for what, globs in named if globs]
    return clip("; ".join(asked) or "all others", 300)


def _next(view: RetentionView) -> Markup | None:
    last = view.last
    if last is None:
        return None
    waiting = sorted((e for e in last.expiring if not e.floored), key=lambda e: (e.due_us, e.unit))
    box = el("div", command_box(f"holdfast retention plan {view.where}"), class_="mt")
    title = head("What goes next", "By the rules as they are; a hold keeps what it may hold.")
    if not waiting:
        return join([title, el("p", "Nothing.", class_="dim"), box])
    heads = ("Day or hour", "Class", ">Events", ">Bytes", "May go, UTC", "In the way")
    rows = [_waiting(each, view.frame.now_us) for each in waiting[:NEXT_MAX]]
    return join([title, table("What goes next", heads, rows), _more(len(waiting), NEXT_MAX), box])


def _waiting(each: Expiring, now_us: int) -> Sequence[Child]:
    due = mono(clock(each.due_us, now_us)) if each.due_us else "no rule says"
    why = clip("; ".join(each.why), 240) or "nothing: the next run"
    return _day(each.unit), mono(each.retention), f"{each.rows:,}", size(each.size_bytes), due, why


def _holds(view: RetentionView) -> Markup:
    title = head("Legal holds", "A held event survives every rule; each hold is an event itself.")
    box = el("div", command_box("holdfast hold add --help"), class_="mt")
    if isinstance(view.seen, Lacking):
        return join([title, el("p", f"Not known: {view.seen.why}.", class_="note unk"), box])
    seen = view.seen
    unread = [
        el("p", f"No copy of the hold {id} verifies: it may hold anything.", class_="note unk")
        for id in sorted(seen.unread)[:ROWS_MAX]
    ]
    standing = [(hold, None) for hold in seen.standing]
    over = [(hold, seen.releases[id]) for id, hold in seen.holds.items() if id in seen.releases]
    over.sort(key=lambda each: -each[1].released_us)
    rows = [_hold(*each, view.frame.now_us) for each in [*standing, *over][:ROWS_MAX]]
    if not rows:
        none = [] if unread else [el("p", "None was ever placed.", class_="dim")]
        return join([title, *unread, *none, box])
    heads = ("State", "Tenant", "Actor", "Events of", "Reason", "Placed, UTC", "Id")
    left = _more(len(standing) + len(over))
    return join([title, *unread, table("Legal holds", heads, rows), left, box])


def _hold(hold: Hold, release: Release | None, now_us: int) -> Sequence[Child]:
    start = format_us(hold.from_us)[:19] if hold.from_us is not None else "the first"
    end = format_us(hold.to_us)[:19] if hold.to_us is not None else "the last"
    how = state("held", "in force")
    if release is not None:
        told = f"over since {clock(release.released_us, now_us)}, {clip(release.author, 60)}"
        how = state("none", told)
    return (
        how,
        clip(hold.tenant, 80) or "none",
        clip(hold.actor, 80) or "any",
        f"{start} to {end}",
        clip(hold.reason, 200),
        [mono(clock(hold.placed_us, now_us)), f" by {clip(hold.author, 60)}"],
        mono(short(hold.hold), hold.hold),
    )


def _floors(view: RetentionView) -> Markup | None:
    if isinstance(view.seen, Lacking):
        return None
    floors = sorted(view.seen.out.values(), key=lambda floor: -floor.floored_us)
    title = head("Let go", "Floors, the newest first: what stays of it proves everything else.")
    if not floors:
        return join([title, el("p", "Nothing so far.", class_="dim")])
    last, now_us = view.last, view.frame.now_us
    looked = {} if last is None else {(e.unit, e.retention): e for e in last.expiring}
    away = () if last is None else last.away
    rows = [
        _floor(each, _deleted(looked.get((each.unit, each.retention)), away), now_us)
        for each in floors[:ROWS_MAX]
    ]
    heads = ("Day or hour", "Class", ">Events", "By", "Since, UTC", "Deleted")
    return join([title, table("Let go", heads, rows), _more(len(floors))])


def _stays(each: Expiring) -> bool:
    return each.floored and bool(each.left or each.why)


def _deleted(found: Expiring | None, away: Sequence[tuple[str, str]]) -> Markup:
    """Where the parts of what was let go are deleted, as far as the last run saw."""
    if found is None:
        return state("unk", "not looked at yet")
    if found.why:
        return state("behind", clip(f"not yet: {'; '.join(found.why)}", 240))
    if stays := "; ".join(f"{id}: {why}" for id, why in (*found.left, *away)):
        return state("behind", clip(f"not in {stays}", 240))
    return state("none", "everywhere")


def _floor(floor: Floor, how: Markup, now_us: int) -> Sequence[Child]:
    since = mono(clock(floor.floored_us, now_us))
    rule = clip(floor.rule, 200)
    return _day(floor.unit), mono(floor.retention), f"{floor.rows:,}", rule, since, how


def _day(text: str) -> Markup:
    return el("span", text, class_="m nw")


def _more(count: int, most: int = ROWS_MAX) -> Markup | None:
    return el("p", f"and {count - most:,} more", class_="dim") if count > most else None

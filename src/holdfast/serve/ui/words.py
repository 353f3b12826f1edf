"""What is said about completeness, and how figures are written. Pure.

The sentence is the same wherever it stands: how far we know, on which regions that rests, and who
is behind. "Not known", "could not look" and "none" are different sentences.
"""

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from holdfast.model import LOSSES, Completeness
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.times import format_us

DAY_US: Final = 86_400_000_000
FRESH_US: Final = 60_000_000  # a watermark older than this is said to be old
BEHIND_US: Final = 5_000_000  # and a region that lags more is said to be behind

Mood = Literal["held", "behind", "down", "unk", "none"]


class RegionView(Struct, frozen=True):
    """A region as the page shows it.

    usable: the last pass rests on it. why_not: else, the reason. ok_us: its last answer to us, None
    before the first. lag_*: what this node has sealed and the region is not known to hold; None
    where this process does not write.
    """

    id: str
    url: str
    usable: bool
    why_not: str
    listed_us: int | None
    ok_us: int | None
    facts: tuple[tuple[str, str], ...] = ()
    lag_segments: int | None = None
    lag_bytes: int | None = None
    lag_us: int | None = None


class Frame(Struct, frozen=True, kw_only=True):
    """What every page knows of the trail and of this server.

    is_empty: nothing was ever stored, as far as is known. signed_in: a cookie let this reader in,
    so there is a way out.
    """

    version: str
    trail: str
    trail_name: str
    node: str
    now_us: int
    said: Completeness
    needed: int
    quorum: int
    regions: tuple[RegionView, ...]
    is_empty: bool
    alerts_open: int = 0
    signed_in: bool = False


class Told(Struct, frozen=True):
    """The sentence, and what its colour and glyph say."""

    mood: Mood
    sentence: Markup


def glyph(mood: str, class_: str = "g") -> Markup:
    """The sign of a state; what it means stands in words beside it."""
    return el("svg", el("use", href=f"#{mood}"), class_=f"{class_} {mood}", aria_hidden="true")


def clock(us: int, now_us: int, digits: int = 0) -> str:
    """A time of day in UTC, with its date where that is not today's."""
    text = format_us(us)
    time = text[11:19] + (f".{text[20 : 20 + digits]}" if digits else "")
    return time if us // DAY_US == now_us // DAY_US else f"{text[:10]} {time}"


def time_tag(us: int, now_us: int) -> Markup:
    return el("time", clock(us, now_us), datetime=format_us(us))


def span(us: int) -> str:
    """A duration in two units at most: 41 s, 4 min 32 s, 3 h 5 min, 2 d 4 h."""
    seconds = max(0, us) // 1_000_000
    if seconds < 10:
        return f"{max(0, us) / 1e6:.1f} s".replace("0.0", "0")
    for size, unit, below, small in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min")):
        if seconds >= size:
            rest = seconds % size // below
            return f"{seconds // size} {unit}" + (f" {rest} {small}" if rest else "")
    minutes, rest = divmod(seconds, 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min" + (f" {rest} s" if rest else "")


def size(size_bytes: int) -> str:
    """Bytes in three digits and a unit."""
    value, units = float(size_bytes), iter(("KB", "MB", "GB", "TB"))
    if value < 1000:
        return f"{size_bytes} B"
    unit = ""
    while value >= 999.5 and (unit := next(units, "")):
        value /= 1000
    return f"{value:.3g} {unit}" if value < 999.5 else f"{value:,.0f} {unit}"


def counted(count: int, noun: str) -> str:
    """So many of them: 1 segment, 2,176 segments."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def short(identifier: str) -> str:
    """First 8 and last 4 of a long one."""
    return identifier if len(identifier) <= 14 else f"{identifier[:8]}…{identifier[-4:]}"


def names(ids: Sequence[str]) -> Markup:
    """Regions by name: a, b and c."""
    tags: list[Child] = [el("span", each, class_="rg") for each in ids]
    if len(tags) < 2:
        return join(tags)
    between: list[Child] = []
    for tag in tags[:-1]:
        between += [tag, ", "]
    return join([*between[:-1], " and ", tags[-1]])


def waterline(
    said: Completeness, regions: Sequence[RegionView], is_empty: bool, now_us: int
) -> Told:
    """The sentence.

    Args:
        said: the statement.
        regions: all of the settings', in their order.
        is_empty: nothing was ever stored, as far as the statement goes.
        now_us: the clock, for ages.
    """
    through = said.complete_through_us
    if through is None:
        return _unknown(said, regions)
    rest = names([basis.region for basis in said.basis])
    behind = [region for region in regions if not region.usable]
    tail = _who_is_behind(behind, now_us) if behind else "."
    if is_empty:
        empty = el("b", "No events yet, and that is known")
        when = time_tag(max((b.listed_to_us for b in said.basis), default=through), now_us)
        sentence = join(
            [glyph("none"), empty, ": ", _regions(said), rest, " ", _were(said), " listed at "]
        )
        return Told("none", join([sentence, when, " UTC and ", _empty(said), tail]))
    old = now_us - through > FRESH_US
    mood: Mood = "behind" if said.holding_back or old else "held"
    head = el("b", "Complete through ", time_tag(through, now_us), " UTC")
    known = el("span", glyph(mood), head, class_=mood)
    since = f", {span(now_us - through)} ago" if old else ""
    parts: list[Child] = [known, since, ", resting on ", _regions(said), rest]
    if not said.basis:
        parts = [known, since, ", and no region can be read now"]
    return Told(mood, join([*parts, tail]))


def _unknown(said: Completeness, regions: Sequence[RegionView]) -> Told:
    behind = [region.id for region in regions if not region.usable]
    reason = said.holding_back[0].reason if said.holding_back else "no pass has ended yet"
    head = el("b", "How far this is complete is not known")
    who = join(["; no listing of ", names(behind)]) if behind else None
    return Told("unk", join([el("span", glyph("unk"), head, class_="unk"), ": ", reason, who, "."]))


def _who_is_behind(behind: Sequence[RegionView], now_us: int) -> Markup:
    told: list[Child] = []
    for region in behind:
        if region.ok_us is None:
            what = " has not answered yet"
        elif now_us - region.ok_us > BEHIND_US:
            what = f" has not answered for {span(now_us - region.ok_us)}"
        else:
            what = f" does not count: {clip(region.why_not or 'not listed yet', 160)}"
        bad = el("span", glyph("down", "g bad"), el("span", region.id, class_="rg"), class_="nw")
        told += ["; ", bad, what]
    return join([*told, "."])


def _regions(said: Completeness) -> str:
    return "region " if len(said.basis) == 1 else "regions "


def _were(said: Completeness) -> str:
    return "was" if len(said.basis) == 1 else "were"


def _empty(said: Completeness) -> str:
    return "is empty" if len(said.basis) == 1 else "are empty"


def reasons(said: Completeness, needed: int, total: int, now_us: int) -> list[Markup]:
    """The small print under the sentence: on how many listings it rests, what holds it, gaps."""
    listings = f" listings needed, {len(said.basis)} usable"
    count = el("span", el("span", el("b", f"{needed} of {total}"), listings))
    lines = [count]
    well = ["Nothing holds it back"] if not said.holding_back else []
    if any(holding.kind in LOSSES for holding in said.holding_back):
        lines.append(el("span", glyph("down"), "Something acknowledged may be lost"))
    elif not said.gaps:
        well.append("no loss is known" if well else "No loss is known")
    if well and said.complete_through_us is not None:
        lines.append(el("span", "; ".join(well)))
    for holding in said.holding_back[:5]:
        who = ["node ", el("span", short(holding.node), class_="m"), ": "] if holding.node else None
        since = f" (since {clock(holding.since_us, now_us)})"
        lines.append(el("span", glyph("behind"), el("span", who, clip(holding.reason, 200), since)))
    if said.gaps:
        events = counted(len(said.gaps), "known gap")
        lines.append(
            el("span", glyph("gap", "g down"), el("a", el("b", events), href="/completeness#gaps"))
        )
    return lines

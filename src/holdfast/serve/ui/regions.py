"""The page of the regions: whether a quorum holds, the ladder, curves, a card each. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from holdfast.serve.ui import frame, ladder
from holdfast.serve.ui.curve import SPANS, Curve, figure
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.ladder import Ladder
from holdfast.serve.ui.parts import head, spans, state
from holdfast.serve.ui.words import (
    BEHIND_US,
    Frame,
    Mood,
    RegionView,
    clock,
    glyph,
    size,
    span,
)


class RegionsView(Struct, frozen=True, kw_only=True):
    """answering: how many regions that are written to answer, of `members`. ladder: None where
    nothing is written. named: the window of the curves. lags: a curve a region; none where nothing
    is written."""

    frame: Frame
    answering: int
    members: int
    ladder: Ladder | None
    named: str
    lags: Mapping[str, Curve]
    curves: tuple[Curve, ...]


def render(view: RegionsView) -> bytes:
    """The whole page, in UTF-8."""
    of = view.frame
    cards = [_card(region, of.now_us, view.lags.get(region.id)) for region in of.regions]
    mood, told = quorum(view)
    lead = (
        f"{of.quorum} of {view.members} must hold an event before it is acknowledged; any "
        f"{of.needed} of them show all that was."
    )
    lag = "Lag is what was sealed here and the region is not known to hold."
    return frame.render(
        of,
        "Regions",
        el("div", el("h1", state(mood, told)), el("p", lead), class_="hd"),
        ladder.render(view.ladder, of.now_us) if view.ladder else None,
        head("Regions", lag if view.ladder else None),
        el("div", cards, class_="g3"),
        _curves(view),
        current="/regions",
        thin=False,
    )


def quorum(view: RegionsView) -> tuple[Mood, str]:
    """Whether events can be acknowledged, and what may still fail."""
    left = view.answering - view.frame.quorum
    if left < 0:
        lacking = f"{-left} more region{'' if left == -1 else 's'}"
        return (
            "down",
            f"No quorum: nothing new is acknowledged until {lacking} answer{'s' * (left == -1)}",
        )
    if left == 0:
        return "behind", "Quorum holds, without margin"
    return "held", f"Quorum holds; {left} more region{'s' * (left != 1)} may fail"


def _curves(view: RegionsView) -> Markup:
    told = (
        "Kept by this server beside its cache, for a week at most, and lost with it. Where there "
        "is no line, nothing was recorded: that is not zero."
    )
    title = head("Over time", told, *spans("/regions", SPANS, view.named))
    panels = [el("div", figure(curve), class_="panel pad") for curve in view.curves]
    return join([title, el("div", panels, class_="g2")])


def _card(region: RegionView, now_us: int, curve: Curve | None) -> Markup:
    mood, word = _state_of(region)
    lag: Child = None
    if region.lag_segments is not None:
        figures = (
            (span(region.lag_us or 0), "behind"),
            (f"{region.lag_segments:,}", "segments"),
            (size(region.lag_bytes or 0), "bytes"),
        )
        lag = el("dl", [[el("dd", dd), el("dt", dt)] for dd, dt in figures], class_="lag")
    listed = clock(region.listed_us, now_us, 3) if region.listed_us else "not now"
    answered = clock(region.ok_us, now_us, 3) if region.ok_us else "never"
    facts = (("listed", listed), ("last answer", answered), *region.facts)
    why = el("p", el("b", clip(region.why_not, 300)), class_="lead") if region.why_not else None
    return el(
        "section",
        el(
            "header",
            el("h3", region.id, class_="rg", id=f"r-{region.id}"),
            el("span", clip(region.url, 80), class_="m dim", title=region.url),
            el("span", glyph(mood), word, class_=f"st {mood}"),
        ),
        why,
        lag,
        figure(curve) if curve else None,
        el("dl", [[el("dt", dt), el("dd", dd)] for dt, dd in facts], class_="kv"),
        class_=f"card is-{mood}",
        aria_labelledby=f"r-{region.id}",
    )


def _state_of(region: RegionView) -> tuple[str, str]:
    if not region.usable:
        return ("unk", "not known yet") if region.ok_us is None else ("down", "does not count")
    if region.lag_us is None:
        return "held", "counts"
    if region.lag_us > BEHIND_US:
        return "behind", "behind"
    return "held", "up to date"

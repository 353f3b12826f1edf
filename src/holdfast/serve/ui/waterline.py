"""The waterline: how far we know, on what that rests, and who is behind. Pure."""

from holdfast.serve.ui.html import Child, Markup, el, join
from holdfast.serve.ui.words import Frame, RegionView, clock, glyph, reasons, waterline
from holdfast.times import format_us


def section(frame: Frame, *, thin: bool) -> Markup:
    """The statement as every page begins with it. thin: in one line, without its rails."""
    told = waterline(frame.said, frame.regions, frame.is_empty, frame.now_us)
    lines: list[Child] = list(reasons(frame.said, frame.needed, len(frame.regions), frame.now_us))
    if frame.is_empty:
        lines.append(el("span", f"{frame.quorum} must hold an event before it is acknowledged"))
    if thin:
        why = el("a", "Why this time, and not later?", href="/completeness")
        lines.append(el("span", why))
    return el(
        "section",
        el("p", told.sentence, class_="wl-say"),
        None if thin else _rails(frame),
        el("div", lines, class_="wl-basis"),
        class_=f"wl is-{told.mood}" + (" thin" if thin else ""),
        aria_label="Completeness",
    )


def _rails(frame: Frame) -> Markup | None:
    """One bar a region over the last while: known, in flight, unknown. Unknown takes its room."""
    through = frame.said.complete_through_us
    if through is None or frame.is_empty:
        return None
    end_us = max([frame.now_us, *(region.listed_us or 0 for region in frame.regions)])
    start_us = min(through, end_us - 30_000_000) - 60_000_000
    if end_us - start_us > 3_600_000_000:
        return None  # the bars would say nothing: the sentence has its age
    scale = 100 / (end_us - start_us)
    rails = [_rail(region, through, (start_us, end_us), scale) for region in frame.regions]
    at = f"{(through - start_us) * scale:.2f}%"
    label = el("text", clock(through, frame.now_us), x=at, y=14, text_anchor="end", font_weight=700)
    axis = [el("span"), el("svg", label), el("span", class_="nt")]
    told = "; ".join(
        f"{region.id}: " + ("known through the watermark" if region.usable else "not known")
        for region in frame.regions
    )
    return el("div", rails, axis, class_="rails", role="img", aria_label=told)


def _rail(region: RegionView, through_us: int, window: tuple[int, int], scale: float) -> Markup:
    start_us, end_us = window
    seen_us = region.listed_us or region.ok_us or start_us
    known_us = through_us if region.usable else min(through_us, seen_us)
    known_us = max(known_us, start_us)
    known = f"{(known_us - start_us) * scale:.2f}%"
    rest = f"{(end_us - known_us) * scale:.2f}%"
    water = f"{(through_us - start_us) * scale:.2f}%"
    if region.usable:
        mood, more, note = "held", "f-fly", f"listed {format_us(seen_us)[11:19]}"
    else:
        mood, more, note = "down", "f-unk", "never answered"
        if region.ok_us:
            note = f"last answer {format_us(region.ok_us)[11:19]}"
    bar = el(
        "svg",
        el("rect", class_="f-held", y=2, width=known, height=10),
        el("rect", class_=more, x=known, y=2, width=rest, height=10),
        el("line", class_="mark", x1=water, x2=water, y1=-2, y2=17),
    )
    name = el("span", region.id, " ", glyph(mood), class_="nm")
    return join([name, bar, el("span", note, class_="nt")])

"""The page of the regions: a card each. Pure."""

from holdfast.serve.ui import frame
from holdfast.serve.ui.html import Child, Markup, clip, el
from holdfast.serve.ui.words import BEHIND_US, Frame, RegionView, clock, glyph, size, span


def render(view: Frame) -> bytes:
    """The whole page, in UTF-8."""
    cards = [_card(region, view.now_us) for region in view.regions]
    lead = (
        f"{view.quorum} of {len(view.regions)} must hold an event before it is acknowledged; any "
        f"{view.needed} of them show all that was."
    )
    return frame.render(
        view,
        "Regions",
        el("div", el("h1", "Regions"), el("p", lead), class_="hd"),
        el("div", cards, class_="g3"),
        current="/regions",
        thin=False,
    )


def _card(region: RegionView, now_us: int) -> Markup:
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
        el("dl", [[el("dt", dt), el("dd", dd)] for dt, dd in facts], class_="kv"),
        class_=f"card is-{mood}",
        aria_labelledby=f"r-{region.id}",
    )


def _state_of(region: RegionView) -> tuple[str, str]:
    if not region.usable:
        return ("unk", "not known yet") if region.ok_us is None else ("down", "does not count")
    if (region.lag_us or 0) > BEHIND_US:
        return "behind", "behind"
    return "held", "up to date"

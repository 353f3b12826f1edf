"""What is known to be missing, as a table. Pure."""

from holdfast.serve.ui.html import Markup, el, join
from holdfast.serve.ui.words import Frame, clock, short


def table(frame: Frame) -> Markup | None:
    """The known gaps, each with its cause; None where there are none."""
    gaps = frame.said.gaps
    if not gaps:
        return None
    lines = [
        el(
            "tr",
            el(
                "td",
                clock(gap.from_us, frame.now_us, 3),
                " to ",
                clock(gap.to_us, frame.now_us, 3),
                class_="m",
            ),
            el("td", short(gap.node), class_="m", title=gap.node),
            el("td", f"{gap.end - gap.start:,}", class_="r"),
            el("td", gap.cause),
        )
        for gap in gaps[:100]
    ]
    heads = [el("th", name, scope="col") for name in ("Range, UTC", "Node", "Segments", "Cause")]
    table = el("table", el("thead", el("tr", heads)), el("tbody", lines))
    more = el("p", f"and {len(gaps) - 100:,} more", class_="dim") if len(gaps) > 100 else None
    return join(
        [
            el(
                "div",
                el("h2", "Gaps"),
                el("p", "What is known to be missing."),
                class_="hd",
                id="gaps",
            ),
            el("div", table, class_="tbl", tabindex=0, role="region", aria_label="Gaps"),
            more,
        ]
    )

"""What is known to be missing, as a table. Pure."""

from typing import Final

from holdfast.serve.ui.html import Markup, el, join
from holdfast.serve.ui.parts import head, mono
from holdfast.serve.ui.parts import table as rows_of
from holdfast.serve.ui.words import Frame, clock, short

GAPS_MAX: Final = 100
HEADS: Final = ("Range, UTC", "Node", ">Segments", "Cause")


def table(frame: Frame) -> Markup | None:
    """The known gaps, each with its cause; None where there are none."""
    gaps = frame.said.gaps
    if not gaps:
        return None
    rows = [
        (
            mono(f"{clock(gap.from_us, frame.now_us, 3)} to {clock(gap.to_us, frame.now_us, 3)}"),
            mono(short(gap.node), gap.node),
            f"{gap.end - gap.start:,}",
            gap.cause,
        )
        for gap in gaps[:GAPS_MAX]
    ]
    left = len(gaps) - GAPS_MAX
    told = (
        "Stated to be lost, under the trail's key. Should a segment turn up in a region, it is "
        "read and copied as ever, and the gap shrinks."
    )
    more = el("p", f"and {left:,} more", class_="dim") if left > 0 else None
    return join([head("Gaps", told, id="gaps"), rows_of("Gaps", HEADS, rows), more])

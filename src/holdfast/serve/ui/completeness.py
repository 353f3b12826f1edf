"""The page of completeness: how far all is known, what holds that back, and what to do. Pure."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from holdfast.model import LOSSES, Holding
from holdfast.read.lives import Life
from holdfast.serve.ui import frame, gaps, timeline
from holdfast.serve.ui.advice import HOLDING, said_by, steps
from holdfast.serve.ui.html import Child, Markup, clip, el, join
from holdfast.serve.ui.parts import command_box, head, mono, spans, state, table
from holdfast.serve.ui.timeline import Window
from holdfast.serve.ui.words import Frame, clock, glyph, short, span

SPANS: Final = (("1h", "1 h"), ("24h", "24 h"), ("30d", "30 days"), ("all", "All time"))
STALE_US: Final = 30_000_000  # a pass takes seconds: no whole one for so long is worth a word
BOUNDS_MAX: Final = 12
HOLDINGS_MAX: Final = 20


class CompletenessView(Struct, frozen=True, kw_only=True):
    """lives: of all nodes; None: they could not be looked up, for `why`. where: the options that
    name this server's place to a command. clock_error_us: what a listing's time may be wrong by.
    passed_us: when this server's last whole pass ended, 0: none yet; failed: why the last one ended
    early."""

    frame: Frame
    lives: tuple[Life, ...] | None
    why: str
    window: Window
    where: str
    clock_error_us: int
    passed_us: int
    failed: str


def render(view: CompletenessView) -> bytes:
    """The whole page, in UTF-8."""
    return frame.render(
        view.frame,
        "Completeness",
        el("h1", "Completeness", class_="vh"),
        _stale(view),
        _holding(view),
        _bounds(view),
        _timeline(view),
        gaps.table(view.frame),
        _certificate(view),
        current="/completeness",
        thin=False,
    )


# -- what holds it back --------------------------------------------------------------------------


def _stale(view: CompletenessView) -> Markup | None:
    """That this server itself does not get on with looking; then all below is as old."""
    now_us = view.frame.now_us
    if view.passed_us and now_us - view.passed_us < STALE_US and not view.failed:
        return None
    when = "This server has not looked at all regions yet since it started."
    if view.passed_us:
        when = f"This server last looked at all regions {span(now_us - view.passed_us)} ago."
    why = f" The last look ended early: {clip(view.failed, 300)}" if view.failed else ""
    return el("p", el("b", when), why, " What stands below is no newer.", class_="note behind")


def _holding(view: CompletenessView) -> Markup:
    said = view.frame.said
    if not said.holding_back:
        told = "Nothing. It follows the listings by itself; there is nothing to do."
        if said.gaps:
            told += " The gaps below stay: they are stated to be lost."
        return head("What holds it back", told)
    cards = [_card(each, view) for each in said.holding_back[:HOLDINGS_MAX]]
    left = len(said.holding_back) - HOLDINGS_MAX
    more = el("p", f"and {left:,} more reasons", class_="dim") if left > 0 else None
    told = "Searches go on answering from all that is there; what is newer may be missing in them."
    return join([head("What holds it back, and what to do", told), cards, more])


def _card(holding: Holding, view: CompletenessView) -> Markup:
    now_us, advice = view.frame.now_us, HOLDING[holding.kind]
    grave = holding.kind in LOSSES
    mood = "down" if grave else "behind"
    of_node = [": node ", mono(short(holding.node), holding.node)] if holding.node else None
    since = f"since {clock(holding.since_us, now_us)}, {span(now_us - holding.since_us)}"
    lost = el("b", advice.lost) if grave else advice.lost
    return el(
        "section",
        el(
            "header",
            glyph(mood, f"g {mood}"),
            el("h3", advice.title, of_node),
            el("span", since, class_="sp"),
        ),
        el(
            "div", el("p", said_by(holding), "."), el("p", advice.means, " ", lost, class_="dim mt")
        ),
        el("div", steps(advice, view.where, holding.node)),
        class_=f"al is-{mood}",
    )


# -- why this time, and not later ----------------------------------------------------------------


class Bound(Struct, frozen=True, order=True):
    """Through when something allows the watermark to be. us: 0 where it allows none at all."""

    us: int
    what: str
    rests_on: str
    stands: str


def bounds_of(view: CompletenessView) -> tuple[Bound, ...]:
    """All that bounds the watermark, the smallest first. A node that is closed bounds nothing."""
    said, now_us = view.frame.said, view.frame.now_us
    found = []
    if said.basis:
        oldest = min(said.basis, key=lambda basis: basis.listed_from_us)
        rest = ", ".join(f"{b.region} {clock(b.listed_from_us, now_us, 3)}" for b in said.basis)
        error = span(view.clock_error_us)
        found.append(
            Bound(
                oldest.listed_from_us - view.clock_error_us,
                f"Oldest listing less {error}",
                f"listings begun {rest}; clocks may differ by {error}",
                "a region that hangs; the others go on without it",
            )
        )
    for life in view.lives or ():
        if not life.is_closed:
            number = life.epochs[-1].number if life.epochs else 0
            found.append(
                Bound(
                    life.promise_us or 0,
                    f"Node {short(life.node)}, epoch {number}",
                    f"its signed promise over {life.held:,} segments",
                    "the node is down or cut off: start it, or another one closes its epoch",
                )
            )
    return tuple(sorted(found))


def _bounds(view: CompletenessView) -> Markup | None:
    said, now_us = view.frame.said, view.frame.now_us
    found = bounds_of(view)
    if said.complete_through_us is None or not found:
        return None
    rows: list[Sequence[Child]] = []
    for number, each in enumerate(found[:BOUNDS_MAX]):
        decides = number == 0 and not said.holding_back
        when = mono(clock(each.us, now_us, 3)) if each.us else "not judged yet"
        now = state("held", "decides now") if decides else each.stands
        rows.append((el("b", each.what) if decides else each.what, when, each.rests_on, now))
    left = len(found) - BOUNDS_MAX
    more = el("p", f"and {left:,} nodes that promised more", class_="dim") if left > 0 else None
    told = "The smallest of these is the answer: everything that was received by then is known."
    if said.holding_back:
        told = (
            "It stands still for what is said above. Without that, the smallest of these would do."
        )
    title = f"Why {clock(said.complete_through_us, now_us)}, and not later?"
    heads = ("Bound", "Through, UTC", "Rests on", "If it stands still")
    return join([head(title, told), table("What bounds the watermark", heads, rows), more])


# -- the nodes over time -------------------------------------------------------------------------


def _timeline(view: CompletenessView) -> Markup:
    links = spans("/completeness", SPANS, view.window.named)
    title = head("Nodes over time", "One row a node: each ledger, and its epochs.", *links)
    if view.lives is None:
        why = el("p", f"The nodes could not be looked up: {view.why}.", class_="note unk")
        return join([title, why])
    if not view.lives:
        return join([title, el("p", "No node has been seen in any region yet.", class_="note")])
    return join(
        [title, timeline.panel(view.lives, view.frame.said, view.window, view.frame.now_us)]
    )


def _certificate(view: CompletenessView) -> Markup:
    told = (
        "A file that shows one tenant that these are all of its events, to be checked with the "
        "trail id and the tenant's salt id. It cannot end later than what is complete."
    )
    command = "holdfast certify --tenant TENANT --from TIME --to TIME > TENANT.certificate"
    return join([head("Prove it to a tenant", told), command_box(command)])

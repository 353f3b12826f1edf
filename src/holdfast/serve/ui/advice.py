"""What each reason means and what a person does about it. Pure.

The words of docs/OPERATIONS.md, short enough for three in the morning. Commands name the server's
own directory, so that they can be copied as they stand.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from holdfast.model import Holding, HoldingKind
from holdfast.serve.ui.html import Markup, clip, el
from holdfast.serve.ui.parts import command_box


class Step(Struct, frozen=True):
    """One thing to do. command: to copy; {where} stands for the options that name the server's
    own place, {node} for the node meant."""

    text: str
    command: str = ""


class Advice(Struct, frozen=True):
    """title: what is so. lost: whether anything acknowledged is lost by it."""

    title: str
    means: str
    lost: str
    steps: tuple[Step, ...]


NOT_LOST: Final = "Nothing that was acknowledged is lost by this."
MAYBE_LOST: Final = (
    "Something that was acknowledged may be lost. Delete nothing; move things aside."
)
_RECONCILE: Final = Step(
    "Then compare all regions, and see it end well.", "holdfast reconcile {where}"
)
_BRING_BACK: Final = Step(
    "Bring every region back that is away (disk, mount, permissions, credentials), or restore one "
    "from its backup. It is found within half a minute.",
    "holdfast doctor {where}",
)
_GONE: Final = Step(
    "Only if no region and no backup will ever have it again: state the gap, under the trail's "
    "key. It cannot be taken back.",
    'holdfast gap declare {where} --node {node} --from FIRST --to AFTER-LAST --why "..."',
)

HOLDING: Final[Mapping[HoldingKind, Advice]] = {
    "regions": Advice(
        "Too few regions can be listed",
        "Fewer regions answer than show everything that was acknowledged, so nothing newer can be "
        "known to be complete.",
        NOT_LOST,
        (
            Step(
                "Bring the named regions back: disk, mount, permissions, network, credentials. A "
                "region that is back is found within half a minute.",
                "holdfast doctor {where}",
            ),
        ),
    ),
    "clock": Advice(
        "The clocks do not agree",
        "Too few regions' clocks agree with this machine's, or none shows a time; without one, no "
        "promise can be held against a listing.",
        NOT_LOST,
        (Step("Check NTP here and on the regions' machines.", "timedatectl timesync-status"),),
    ),
    "silent": Advice(
        "A node is silent",
        "It has promised nothing newer and did not end: it is down, killed, or cut off.",
        NOT_LOST,
        (
            Step("Start the node again; it ends its last epoch by itself."),
            Step(
                "Dead for good: wait. Once it has not advanced for `lost_after_s` (10 min unless "
                "set), another node ends its epoch."
            ),
            Step(
                'Only if the log says "the votes are split": decide the end, under the trail\'s '
                "key.",
                "holdfast close declare {where} --node {node} --epoch N --region-gone ID "
                '--why "..."',
            ),
        ),
    ),
    "fetch": Advice(
        "This server is still reading",
        "Segments or regions were not read yet since it started, or since they came.",
        NOT_LOST,
        (Step("Wait: this is the server at work. If the reason names a region, bring it back."),),
    ),
    "close": Advice(
        "Where an epoch ended is not known",
        "The node began a new epoch, and no region listed shows where the one before it ended.",
        NOT_LOST,
        (Step("Wait for the node's start to end, or bring the other regions back."), _BRING_BACK),
    ),
    "birth": Advice(
        "The record of an epoch cannot be read",
        "An epoch is listed, and no good copy of its birth is in any region that answers.",
        "Nothing is known to be lost yet.",
        (_BRING_BACK, _RECONCILE),
    ),
    "settings": Advice(
        "Too few of a node's stores are listed",
        "Its epoch counts on stores that are away, or that these settings do not name.",
        NOT_LOST,
        (
            Step("If regions are away, bring them back: this goes with them."),
            Step(
                "Else make the settings of all nodes and readers name the same regions. What is in "
                "force here:",
                "holdfast doctor {where}",
            ),
        ),
    ),
    "hole": Advice(
        "A segment is missing",
        "It must exist, and none of the regions that were listed has it.",
        MAYBE_LOST,
        (_BRING_BACK, _RECONCILE, _GONE),
    ),
    "unreadable": Advice(
        "No good copy of a segment",
        "All regions answered, and none of their copies holds the bytes that its name promises.",
        MAYBE_LOST,
        (
            Step("Keep the corrupt copies for a look at the disks; nothing overwrites them."),
            _BRING_BACK,
            _RECONCILE,
            _GONE,
        ),
    ),
    "conflict": Advice(
        "What is stored contradicts itself",
        "Two statements or segments claim the same place. That is a fault of a writer, or a hand.",
        MAYBE_LOST,
        (
            Step("Change nothing. Keep copies of all regions, and find out who wrote."),
            Step("See all of it.", "holdfast verify {where} --depth bytes"),
        ),
    ),
}


def steps(advice: Advice, where: str, node: str = "") -> Markup:
    """What to do, in order, with the commands to copy."""
    names = {"where": where, "node": node or "NODE"}
    lines = [
        el("li", each.text, command_box(each.command.format(**names)) if each.command else None)
        for each in advice.steps
    ]
    return el("ol", lines, class_="do")


def said_by(holding: Holding) -> str:
    """The reason in its own words, with a capital."""
    reason = clip(holding.reason, 400)
    return reason[:1].upper() + reason[1:]

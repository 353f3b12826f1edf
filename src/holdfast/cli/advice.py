"""What a person does about what is told: a line each. Pure; docs/OPERATIONS.md says more."""

from collections.abc import Mapping
from typing import Final

from holdfast.model import HoldingKind

_BRING_BACK: Final = (
    "Bring every region back, restore one from its backup, then `holdfast reconcile`. "
    "Gone for good: `holdfast gap declare`."
)

HOLDING: Final[Mapping[HoldingKind, str]] = {
    "regions": "Bring the named regions back: disk, mount, permissions, network.",
    "clock": "Check NTP here and on the regions' machines.",
    "silent": "Start that node. Dead for good: after 10 minutes another node ends its epoch.",
    "fetch": "Wait. If it names a region, bring that back.",
    "close": "Wait for that node's start, or bring the other regions back.",
    "birth": "Bring the other regions back, then `holdfast reconcile`.",
    "settings": "Let the settings of all nodes and readers name the same regions.",
    "hole": _BRING_BACK,
    "unreadable": f"Keep the corrupt copies. {_BRING_BACK}",
    "conflict": "Change nothing, keep copies of all regions, find out who wrote.",
}
"""By the kind of what holds `complete_through` back."""

FINDING: Final[Mapping[str, str]] = {
    "corrupt": "See that another copy is good, move this one aside, then `holdfast reconcile`.",
    "differs": "Read both copies: was a region copied or mixed up?",
    "lost": _BRING_BACK,
    "unreadable": "Look at permissions and the disk, then `holdfast reconcile`.",
    "vanished": "Find out who deletes there, then `holdfast reconcile`.",
    "hidden": "Find out whose credentials did that, and change them.",
    "not-copied": "The region is full, read-only or away: mend that, then `holdfast reconcile`.",
    "not-whole": "Wait: the reason says what the store still lacks.",
    "orphan": "Nothing: it was never acknowledged. Leave it.",
    "foreign": "Find out who writes there. It does no harm.",
    "found-whole": "Nothing.",
}
"""By the kind of a survey's or a scrub's finding."""

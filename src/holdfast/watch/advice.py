"""What a person does about a survey's or a scrub's finding: a line each. Pure.

docs/OPERATIONS.md says more. About what holds `complete_through` back, `serve.ui.advice` does.
"""

from collections.abc import Mapping
from typing import Final

_BRING_BACK: Final = (
    "Bring every region back, restore one from its backup, then `holdfast reconcile`. "
    "Gone for good: `holdfast gap declare`."
)

FINDING: Final[Mapping[str, str]] = {
    "corrupt": "See that another copy is good, move this one aside, then `holdfast reconcile`.",
    "differs": "Read both copies: was a region copied or mixed up?",
    "lost": _BRING_BACK,
    "unreadable": "Look at permissions and the disk, move aside what is no file, then "
    "`holdfast reconcile`.",
    "vanished": "Find out who deletes there, then `holdfast reconcile`.",
    "hidden": "Find out whose credentials did that, and change them.",
    "not-copied": "Mend what the reason says: the region is full, read-only, away, or the name is "
    "taken. Then `holdfast reconcile`.",
    "not-whole": "Wait: the reason says what the store still lacks.",
    "orphan": "Nothing: it was never acknowledged. Leave it.",
    "foreign": "Find out who writes there. It does no harm.",
    "found-whole": "Nothing.",
}

"""The kinds of alerts: how grave each is, what it means and what to do. Pure.

docs/ALERTS.md has a section for each, with its causes; a test holds the two against each other.
"""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

Severity = Literal["critical", "warning"]
DOCUMENT: Final = "docs/ALERTS.md"


class Step(Struct, frozen=True):
    """One thing to do, and the command for it; "" where there is none."""

    text: str
    command: str = ""


class Kind(Struct, frozen=True):
    """A kind of alert.

    severity: "critical" is for a person at once, "warning" for the next working day. after_s: how
    long it must last before anybody is told, so that a blip wakes nobody. title: with the subject
    in the place of {}. page: of the console that shows more, with its name.
    """

    severity: Severity
    after_s: int
    title: str
    means: str
    do: tuple[Step, ...]
    page: tuple[str, str] = ("/", "Search")

    def title_of(self, subject: str) -> str:
        """What is wrong, in a line."""
        return self.title.replace("{}", subject)


_STATUS: Final = Step("See how everything stands:", "holdfast status")
_REGIONS: Final = ("/regions", "Regions")
_ARCHIVE: Final = ("/archive", "Archive")
_RETENTION: Final = ("/retention", "Retention")
_RECONCILE: Final = Step("Have everything compared now:", "holdfast reconcile --data DIR")
_VERIFY: Final = Step("Check what the regions hold:", "holdfast verify --data DIR --depth events")
_ASIDE: Final = Step("Change nothing in any region. Keep copies of all before anything is moved.")

KINDS: Final[Mapping[str, Kind]] = {
    "no-progress": Kind(
        "critical",
        60,
        "Complete-through stands still",
        "Searches answer from what is there; what was received since may be missing in them.",
        (Step("See what holds it back, and since when:", "holdfast completeness"), _STATUS),
    ),
    "not-accepting": Kind(
        "critical",
        30,
        "{} accepts no events",
        "Clients that come this way get 503 and keep what they have.",
        (Step("The reason is given with it, and in the log:", "holdfast status"),),
    ),
    "quorum-lost": Kind(
        "critical",
        15,
        "Too few regions: events are refused",
        "Nothing that was acknowledged is lost, and all of it is found in any region that is left. "
        "New events get 503, and clients send them again.",
        (Step("Bring back one of the regions named; writing goes on by itself."), _STATUS),
        _REGIONS,
    ),
    "quorum-margin": Kind(
        "warning",
        60,
        "Quorum has no margin left",
        "If one more region fails, events are refused. Nothing is lost by that.",
        (Step("Put off planned work on the other regions."), _STATUS),
        _REGIONS,
    ),
    "region-away": Kind(
        "warning",
        60,
        "Region {} does not answer",
        "Events are held in the others alone. Writing, searching and proofs go on.",
        (
            Step("Is it the store, or the way to it?", "holdfast doctor --data DIR"),
            Step("When it answers again it is filled by itself. See it done:", "holdfast status"),
        ),
        _REGIONS,
    ),
    "region-unfit": Kind(
        "critical",
        30,
        "Region {} is not the store that it should be",
        "It answers, and counts for nothing: its cookie is gone or another's, or its store does "
        "not do what the quorum rests on.",
        (
            Step("Was it mounted, moved or emptied? Never recreate a region by hand."),
            Step("Try the store, and see its cookie:", "holdfast doctor --data DIR"),
        ),
        _REGIONS,
    ),
    "region-suspect": Kind(
        "critical",
        30,
        "Region {} lost what it once held",
        "No statement rests on it until all of it is back. The other regions hold the events.",
        (
            Step("Who deletes there? Was an old backup restored?"),
            _RECONCILE,
            Step("Does every region lack the same? No repair has it: see docs/ALERTS.md."),
        ),
        _REGIONS,
    ),
    "lag": Kind(
        "warning",
        120,
        "Region {} is behind",
        "It answers, and lacks events that the others hold. If those fail, it cannot stand in.",
        (Step("Is it slow, or full?", "holdfast status"), _RECONCILE),
        _REGIONS,
    ),
    "open-gap": Kind(
        "critical",
        30,
        "Events of node {} are missing",
        "A segment that must exist is in no region, or in none as it was stored. Nothing else of "
        "the trail is touched.",
        (
            Step(
                "Bring every region back, or one's backup. Then:", "holdfast reconcile --data DIR"
            ),
            Step("Only if they are gone for good, state it:", "holdfast gap declare --help"),
        ),
    ),
    "divergence": Kind(
        "critical",
        10,
        "{} contradicts itself",
        "Two things are stored that cannot both be true: a fault, or somebody's hand.",
        (_ASIDE, _VERIFY),
    ),
    "corruption": Kind(
        "critical",
        10,
        "Region {} holds corrupt copies",
        "They are never served and never copied; the bytes come from the other regions.",
        (
            Step("Is the disk failing? Its log says so.", "dmesg"),
            Step("Move the copy aside, never delete it, then:", "holdfast reconcile --data DIR"),
        ),
        _REGIONS,
    ),
    "tampering": Kind(
        "warning",
        30,
        "Somebody else writes to region {}",
        "Objects were hidden, removed or added there that are not ours. What was stored before is "
        "read all the same.",
        (Step("Find out whose credentials did it, and change them."), _VERIFY),
        _REGIONS,
    ),
    "clock": Kind(
        "warning",
        60,
        "Clocks disagree: {}",
        "Times are off by more than is allowed for. What was promised before stands; "
        "complete-through may wait.",
        (Step("Check NTP here and on the regions' machines.", "timedatectl"),),
    ),
    "unknown-node": Kind(
        "warning",
        0,
        "A new node writes to the trail: {}",
        "The trail's key admitted it. It is told once, and known after a day.",
        (
            Step("Was it meant? See who wrote, and by which key:", "holdfast keys show --data DIR"),
            Step("If not, state that it writes no more:", "holdfast keys retire --help"),
        ),
    ),
    "witness-behind": Kind(
        "warning",
        600,
        "Witnesses do not cosign",
        "Until they do, outsiders have to take this trail's newest checkpoints on trust.",
        (Step("Each witness's answer is in:", "holdfast status --json"),),
    ),
    "checks-late": Kind(
        "warning",
        60,
        "No {} for too long",
        "Nobody compares or reads what is stored, so what rots or goes missing is not found.",
        (Step("The server's log says why it ended early."), _RECONCILE),
    ),
    "archive-behind": Kind(
        "warning",
        60,
        "Days are late for the archive",
        "Their segments stay until every region's archive has them. Nothing is lost, and all of it "
        "is found; there are more objects to keep.",
        (
            Step(
                "See what is due, and what each region lacks:",
                "holdfast archive --dry-run --data DIR",
            ),
            Step("Is complete-through where it should be?", "holdfast completeness"),
        ),
        _ARCHIVE,
    ),
    "archive-stopped": Kind(
        "warning",
        7200,
        "Archiving stops each time",
        "Two runs in a row could not do all that is due. Nothing was changed that is not whole.",
        (Step("The reason is given with it. Mend that, then:", "holdfast archive --data DIR"),),
        _ARCHIVE,
    ),
    "sweep-left": Kind(
        "warning",
        7200,
        "Segments stay in region {} that its archive has",
        "They are kept twice there, which costs room and nothing else.",
        (Step("What is in the way, unit by unit:", "holdfast sweep --dry-run --data DIR"), _VERIFY),
        _ARCHIVE,
    ),
    "retention-left": Kind(
        "warning",
        7200,
        "What was let go is not deleted in {}",
        "A floor says that it is gone, and nobody shows it; its bytes still lie there.",
        (Step("Which, and why:", "holdfast retention plan"),),
        _RETENTION,
    ),
    "retention-overdue": Kind(
        "warning",
        60,
        "Class {} should have gone long ago",
        "A rule says for how long it is kept, and no hold keeps it. Nothing is lost, and all of it "
        "is still shown; what must be forgotten is not.",
        (
            Step("What is in the way, day by day:", "holdfast retention plan"),
            Step(
                "Is every region there, archived and swept?", "holdfast sweep --dry-run --data DIR"
            ),
        ),
        _RETENTION,
    ),
    "hold-unread": Kind(
        "warning",
        60,
        "No copy of hold {} can be read",
        "It may hold anything, so nothing is let go by any rule until a copy verifies.",
        (
            Step("Does a region or a backup have a good copy? Move bad ones aside, and:"),
            _RECONCILE,
            Step("Nobody has one? Then it is ended by its id:", "holdfast hold release ID"),
        ),
        _RETENTION,
    ),
    "restore-failed": Kind(
        "critical",
        900,
        "A restore from region {} failed",
        "With all other regions gone, this one would not give that day back. Today the others do.",
        (
            Step("Try all of the day again:", "holdfast rehearse --data DIR --region ID --day DAY"),
            Step(
                "Is an object corrupt, or gone? Move it aside, and:",
                "holdfast reconcile --data DIR",
            ),
            Step("Was another root signed? Then change nothing: see docs/ALERTS.md."),
        ),
        _ARCHIVE,
    ),
    "restore-overdue": Kind(
        "warning",
        60,
        "A restore from region {} is overdue",
        "Some day has not been restored from there for longer than it takes to come round to "
        "all of them: nobody knows whether it could be.",
        (
            Step("Is the region away, or a day too large to try?", "holdfast status"),
            Step("Try it by hand:", "holdfast rehearse --data DIR --region ID --day DAY"),
        ),
        _ARCHIVE,
    ),
    "disk-full": Kind(
        "critical",
        60,
        "The disk of {} is nearly full",
        "The cache cannot grow, and searches will miss what is newest. Regions are not touched.",
        (
            Step("Make room; the cache may be deleted at any time.", "df -h"),
            Step("Or set cache_bytes_max lower and restart."),
        ),
    ),
    "undelivered": Kind(
        "warning",
        120,
        "Alerts do not reach {}",
        "Nobody is told there of what is wrong here. All that waits is sent when it answers.",
        (Step("The reason is given with it. What is open:", "holdfast alerts list"),),
        ("/alerts", "Alerts"),
    ),
}

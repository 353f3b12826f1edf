"""What verification can find, and what follows from all of it. Pure."""

from collections.abc import Collection
from typing import Final, Literal, get_args

from msgspec import Struct

from holdfast.model import NodeId
from holdfast.regions.port import RegionId

FINDINGS_MAX = 1000  # of a kind; how many more there are is told

Depth = Literal["names", "bytes", "events"]
FindingKind = Literal[
    "corrupt",
    "forged",
    "retired",
    "false",
    "rewritten",
    "conflict",
    "uncertified",
    "unreadable",
    "vanished",
    "hole",
    "cut_tail",
    "no_birth",
    "unproven",
    "gap",
    "retained",
    "under_replicated",
    "hidden",
    "orphan",
    "foreign",
    "unused",
]
Verdict = Literal["refuted", "unchecked", "incomplete", "good"]

REFUTED: Final = frozenset[FindingKind](
    {"corrupt", "forged", "retired", "false", "rewritten", "conflict", "uncertified"}
)
UNCHECKED: Final = frozenset[FindingKind]({"unreadable", "vanished"})
INCOMPLETE: Final = frozenset[FindingKind]({"hole", "cut_tail", "no_birth"})
_ORDER: Final[tuple[FindingKind, ...]] = get_args(FindingKind)


class Finding(Struct, frozen=True, kw_only=True):
    """Something that a person should know.

    region: "" where no single one is meant. node, start, end: segments [start, end) of its ledger;
    of "rewritten", the sizes between which the two histories part. key: of the first object meant.

    kind: "corrupt" (a copy contradicts its name, or a note its signature), "forged" (a segment that
    its node did not sign), "retired" (segments beyond what the trail's key states to be legitimate
    of a node that writes no more), "false" (signed, and what it says of its own records is not so),
    "rewritten" (the names give another root than was signed once), "conflict" (two segments for one
    place, two ends of one epoch, a promise beyond an end), "uncertified" (of a node that the trail
    never admitted), "unreadable" (listed, and cannot be read; or a region that cannot), "vanished"
    (it was listed and is gone), "hole" (segments that must exist are nowhere), "cut_tail" (the
    same, up to the end), "no_birth" (of an epoch that segments or later births show), "unproven"
    (a signed root that cannot be recomputed, since names before it are missing), "gap" (declared
    lost), "retained" (let go by a rule; key: of the floor), "under_replicated" (a region lacks it),
    "hidden" (a delete marker or a newer version lies over it, in a store that keeps every version,
    and reads it all the same), "orphan" (beyond its epoch's end: not in the trail), "foreign" (not
    a key of ours), "unused" (a region that was not
    relied on).
    """

    kind: FindingKind
    region: RegionId = ""
    node: NodeId = ""
    start: int | None = None
    end: int | None = None
    key: str = ""
    reason: str = ""


class RegionState(Struct, frozen=True):
    """What became of a region. state: "ok" or why it is not relied on. store: as it says itself.
    objects: listed in it. relied_on: whether what it does not show is missing there for sure."""

    region: RegionId
    store: str
    state: str
    objects: int
    relied_on: bool


class Report(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One verification.

    nodes, segments, events: of all ledgers, by their names, below what is known for sure; pending:
    segments above that. deep_segments, deep_events: whose bytes, or events, were verified;
    resumed_segments: how many of these an earlier run had read. archived_units: of any archive.
    findings: the gravest first; left_out: how many more there are, by kind.
    """

    trail: str
    depth: Depth
    verdict: Verdict
    started_us: int
    ended_us: int
    regions: tuple[RegionState, ...]
    nodes: int
    segments: int
    events: int
    pending: int
    deep_segments: int
    deep_events: int
    resumed_segments: int
    findings: tuple[Finding, ...]
    left_out: dict[str, int]
    archived_units: int = 0


class Findings:
    """Collects them: the same one once, so many of a kind."""

    def __init__(self) -> None:
        self.counts: dict[FindingKind, int] = {}
        self._kept: dict[FindingKind, dict[Finding, None]] = {}

    def add(self, *found: Finding) -> None:
        for each in found:
            kept = self._kept.setdefault(each.kind, {})
            if each in kept:
                continue
            self.counts[each.kind] = self.counts.get(each.kind, 0) + 1
            if len(kept) < FINDINGS_MAX:
                kept[each] = None

    def kept(self) -> tuple[Finding, ...]:
        """The gravest kinds first; of a kind, in the order of nodes and ledgers."""
        return tuple(
            finding for kind in _ORDER for finding in sorted(self._kept.get(kind, ()), key=_place)
        )

    def left_out(self) -> dict[str, int]:
        return {
            kind: count - FINDINGS_MAX
            for kind, count in self.counts.items()
            if count > FINDINGS_MAX
        }


def _place(finding: Finding) -> tuple[str, int, str, str]:
    return finding.node, finding.start or 0, finding.key, finding.region


def verdict_of(kinds: Collection[FindingKind], *, enough: bool) -> Verdict:
    """What all of it comes to. enough: the regions that were looked at show everything.

    Refuted before unchecked before incomplete before good: who found something broken need not have
    looked everywhere, and who did not look everywhere cannot say that something is missing.
    """
    if REFUTED.intersection(kinds):
        return "refuted"
    if UNCHECKED.intersection(kinds) or not enough:
        return "unchecked"
    return "incomplete" if INCOMPLETE.intersection(kinds) else "good"

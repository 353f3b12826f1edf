"""What the reports mean: is this process of use, and what should a person know? Pure.

A figure that is not known yet is no good news: what it would tell of is then named as unknown, and
an alert of it neither opens nor resolves.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Final

from msgspec import Struct

from holdfast.keep.repair import Finding
from holdfast.keep.witnesses import lag_seconds
from holdfast.model import NodeId
from holdfast.read.report import ReaderReport
from holdfast.regions.region import RegionReport, why_too_few
from holdfast.times import format_us
from holdfast.watch.standing import Standing
from holdfast.write.node import NodeReport

SUMMARY_CHARS_MAX: Final = 1000
_OF_PASS: Final = ("open-gap", "divergence", "corruption", "tampering", "region-suspect")
_OF_SURVEY: Final = ("open-gap", "divergence", "corruption", "tampering", "lag", "checks-late")
_OF_SCRUB: Final = ("corruption", "tampering", "checks-late")
_OF_ARCHIVE: Final = ("archive-behind", "archive-stopped")
_OF_RESTORES: Final = ("restore-failed", "restore-overdue")
_FINDINGS: Final = {  # kinds of findings of survey and scrub: what they are told as
    "corrupt": "corruption",
    "differs": "divergence",
    "lost": "open-gap",
    "hidden": "tampering",
    "vanished": "tampering",
    "foreign": "tampering",
}
_HOLDINGS: Final = {"hole": "open-gap", "unreadable": "open-gap", "conflict": "divergence"}


class Norms(Struct, frozen=True):
    """What is still well. survey_us, scrub_us, archive_us: since the last one ended. due_us: that a
    day is due and not in every archive. overdue_us: that a class should be gone."""

    watermark_us: int = 60_000_000
    lag_us: int = 60_000_000
    clock_us: int = 2_000_000
    survey_us: int = 1_800_000_000
    scrub_us: int = 2 * 86_400_000_000
    archive_us: int = 3 * 3_600_000_000
    due_us: int = 86_400_000_000
    overdue_us: int = 7 * 86_400_000_000
    free_ratio: float = 0.05


class Trouble(Struct, frozen=True, order=True):
    """Something that is wrong now. kind: of `kinds.KINDS`; subject: which region, node, worker or
    place, "" for the trail as a whole. summary: the facts, for a person."""

    kind: str
    subject: str
    summary: str

    @property
    def key(self) -> str:
        """The same trouble has the same one, however often it is found."""
        return f"{self.kind}:{self.subject}" if self.subject else self.kind


class Diagnosis(Struct, frozen=True):
    """What is wrong, by key, one of each. unknown: kinds that cannot be judged now."""

    troubles: tuple[Trouble, ...]
    unknown: frozenset[str] = frozenset()


def reasons_not_ready(
    nodes: Sequence[NodeReport], reader: ReaderReport, regions: Sequence[RegionReport], quorum: int
) -> tuple[str, ...]:
    """Why it cannot do what it is there for; empty when it can.

    Where events are written one node must be able to acknowledge: the port leads to those that
    are. Who only reads must have something to answer from. A region more or less is no reason:
    that is what the quorum is for.

    Args:
        nodes: that write behind this port; none where nothing is written.
        reader: always there.
        regions: all of the settings'.
        quorum: regions that an acknowledgement needs.
    """
    if not nodes:
        return () if reader.passes else (f"no pass over the regions yet {reader.failed}".strip(),)
    reasons = []
    if all(node.state != "open" for node in nodes):
        reasons += [f"the node accepts nothing yet: {node.why}" for node in nodes]
    if too_few := why_too_few(regions, quorum):
        reasons.append(too_few)
    return tuple(reasons)


def diagnose(
    standing: Standing, norms: Norms, strangers: Sequence[NodeId] = (), more: Sequence[Trouble] = ()
) -> Diagnosis:
    """All that a person should know of how everything stands.

    Args:
        standing: at one moment.
        norms: what is still well.
        strangers: nodes that are new in the trail.
        more: troubles that were found elsewhere.
    """
    found = chain(
        _of_progress(standing, norms),
        _of_writers(standing),
        _of_quorum(standing),
        _of_regions(standing, norms),
        _of_statement(standing),
        _of_findings(standing),
        _of_clocks(standing, norms),
        _of_keeping(standing, norms),
        _of_archive(standing, norms),
        _of_leaving(standing),
        _of_rules(standing, norms),
        _of_restores(standing),
        (Trouble("unknown-node", node, "It was not seen before.") for node in strangers),
        more,
    )
    return Diagnosis(tuple(_one_of_each(found)), _unknown(standing))


def _one_of_each(found: Iterable[Trouble]) -> Iterator[Trouble]:
    """Troubles of one key are one, with the facts of the first and how many more there are."""
    for _, group in groupby(sorted(found), key=lambda each: each.key):
        first, *others = group
        more = f" (and {len(others)} more)" if others else ""
        summary = first.summary[: SUMMARY_CHARS_MAX - len(more)] + more
        yield Trouble(first.kind, first.subject, summary)


def _unknown(standing: Standing) -> frozenset[str]:
    restored = standing.restored
    return frozenset(
        [
            *(_OF_PASS if not standing.reader.passes else ()),
            *(_OF_SURVEY if standing.writers and standing.reconciled is None else ()),
            *(_OF_SCRUB if standing.writers and standing.scrubbed is None else ()),
            *(_OF_ARCHIVE if standing.archives and standing.archived is None else ()),
            *(_OF_RESTORES if restored.every_us and not restored.oldest_us else ()),
        ]
    )


def _of_progress(standing: Standing, norms: Norms) -> Iterator[Trouble]:
    through_us = standing.said.complete_through_us
    why = [each.reason for each in standing.said.holding_back] or [standing.reader.failed]
    told = "; ".join(filter(None, why[:3])) or "no reason is known"
    if through_us is None:
        yield Trouble("no-progress", "", f"Nothing is known to be complete yet: {told}")
    elif standing.now_us - through_us > norms.watermark_us:
        at = format_us(through_us)
        yield Trouble("no-progress", "", f"Nothing after {at} is known to be complete: {told}")


def _of_writers(standing: Standing) -> Iterator[Trouble]:
    for each in standing.writers:
        if each.node.state != "open":
            yield Trouble(
                "not-accepting", f"worker {each.worker}", f"{each.node.state}: {each.node.why}"
            )


def _of_quorum(standing: Standing) -> Iterator[Trouble]:
    if not standing.writers:
        return
    members = [region for region in standing.regions if region.id not in standing.leaving]
    good = [region.id for region in members if region.state == "ok"]
    if len(good) < standing.quorum:
        yield Trouble("quorum-lost", "", why_too_few(members, standing.quorum))
    elif len(good) == standing.quorum < len(members):
        told = f"{standing.quorum} of {len(members)} regions are needed, and {len(good)} are left"
        yield Trouble("quorum-margin", "", f"{told}: {', '.join(good)}")


def _of_regions(standing: Standing, norms: Norms) -> Iterator[Trouble]:
    for region in standing.regions:
        if region.state == "open" or (region.state != "ok" and region.ok_seconds_ago is None):
            yield Trouble("region-away", region.id, region.why or "it has not answered yet")
        elif region.state != "ok":
            yield Trouble("region-unfit", region.id, region.why)
        else:
            yield from _of_lag(standing, region.id, norms)
    for id, reason in standing.reader.suspects:
        yield Trouble("region-suspect", id, reason)


def _of_lag(standing: Standing, region: str, norms: Norms) -> Iterator[Trouble]:
    """Of a region that is relied on: of another one, that it is behind says nothing new."""
    for writer in standing.writers:
        for each in writer.node.regions:
            late_us = standing.now_us - each.oldest_us
            if each.region == region and each.segments and late_us > norms.lag_us:
                told = f"{each.segments} segments are not known to be there, the oldest for"
                yield Trouble("lag", region, f"{told} {late_us // 1_000_000} s")
    for drift in standing.reconciled.regions if standing.reconciled else ():
        if drift.region == region and drift.lacking:
            yield Trouble("lag", region, f"the last survey left {drift.lacking} objects lacking")


def _of_statement(standing: Standing) -> Iterator[Trouble]:
    for holding in standing.said.holding_back:
        if kind := _HOLDINGS.get(holding.kind):
            yield Trouble(kind, holding.node, holding.reason)
        elif holding.kind == "clock":
            yield Trouble("clock", "the regions", holding.reason)


def _of_findings(standing: Standing) -> Iterator[Trouble]:
    reports = (standing.reconciled, standing.scrubbed)
    for finding in chain.from_iterable(each.findings for each in reports if each):
        if kind := _FINDINGS.get(finding.kind):
            yield Trouble(kind, _subject_of(finding), f"{finding.key}: {finding.reason}")
    for copy in standing.reader.corrupt:
        yield Trouble("corruption", copy.region, f"{copy.key}: it does not hash to its name")
    for stray in standing.reader.strays:
        yield Trouble("tampering", stray.region, f"{stray.key}: {stray.reason}")


def _subject_of(finding: Finding) -> str:
    """The region; of what is in none of them the node, which is a part of the key."""
    if finding.region:
        return finding.region
    parts = finding.key.split("/")
    return parts[2] if len(parts) > 2 else ""


def _of_clocks(standing: Standing, norms: Norms) -> Iterator[Trouble]:
    for writer in standing.writers:
        for each in writer.node.regions:
            offset_us = each.clock_offset_us
            if offset_us is not None and abs(offset_us) > norms.clock_us:
                told = f"its clock less ours is {offset_us / 1e6:+.3f} s; allowed are"
                yield Trouble("clock", each.region, f"{told} {norms.clock_us / 1e6:g} s")


def _of_keeping(standing: Standing, norms: Norms) -> Iterator[Trouble]:
    for writer in standing.writers:
        report = writer.witnesses
        if report is not None and lag_seconds(report, standing.now_us) > 0:
            failed = [f"{w.witness}: {w.failed}" for w in report.witnesses if w.failed]
            told = f"{report.cosigned} of {report.quorum} cosigned the newest checkpoint"
            yield Trouble("witness-behind", "", "; ".join([told, *failed]))
    ends = (
        ("survey", standing.reconciled, norms.survey_us),
        ("scrub", standing.scrubbed, norms.scrub_us),
    )
    for name, last, most_us in ends:
        if last is not None and standing.now_us - last.ended_us > most_us:
            yield Trouble("checks-late", name, f"the last one ended at {format_us(last.ended_us)}")
    for room in standing.rooms:
        if room.free_bytes < room.size_bytes * norms.free_ratio:
            told = f"{room.free_bytes:,} of {room.size_bytes:,} bytes are free"
            yield Trouble("disk-full", room.place, told)


def _of_archive(standing: Standing, norms: Norms) -> Iterator[Trouble]:
    last = standing.archived
    if last is None:
        return
    if last.trouble:
        yield Trouble("archive-stopped", "", last.trouble)
    late_us = standing.now_us - last.due_us
    if last.due_us and late_us > norms.due_us:
        lacking = sorted({f"{id}: {why}" for unit in last.units for id, why in unit.lacking})
        told = f"a day is due since {format_us(last.due_us)} that not every region has"
        yield Trouble("archive-behind", "", "; ".join([told, *lacking]))
    elif standing.archives and standing.now_us - last.ended_us > norms.archive_us:
        yield Trouble("archive-behind", "", f"the last run ended at {format_us(last.ended_us)}")


def _of_leaving(standing: Standing) -> Iterator[Trouble]:
    """What was to go and stays: segments that are archived, parts that were let go."""
    for each in standing.swept.swept if standing.swept else ():
        if each.left:
            yield Trouble("sweep-left", each.region, f"{each.unit}: {each.left} stay: {each.why}")
    if standing.expired is None:
        return
    if standing.expired.trouble:
        yield Trouble("retention-left", "any region", standing.expired.trouble)
    for gone in standing.expired.expiring:
        for id, why in gone.left:
            yield Trouble("retention-left", id, f"{gone.unit}, class {gone.retention}: {why}")


def _of_rules(standing: Standing, norms: Norms) -> Iterator[Trouble]:
    """What rules should have let go by now, and a hold that nobody can read."""
    if standing.expired is None:
        return
    for each in standing.expired.expiring:
        if each.late_us(standing.now_us) > norms.overdue_us:
            told = f"{each.unit} should have gone at {format_us(each.due_us)}"
            yield Trouble("retention-overdue", each.retention, "; ".join([told, *each.why]))
    for hold in standing.expired.unread:
        yield Trouble("hold-unread", hold, "no region has a copy of it that verifies")


def _of_restores(standing: Standing) -> Iterator[Trouble]:
    restored = standing.restored
    for id in restored.places:
        for day, why in restored.failed(id):
            yield Trouble("restore-failed", id, f"{day}: {why}")
    for id, since_us in restored.oldest_us.items():
        if restored.every_us and standing.now_us - since_us > restored.allowed_us:
            told = f"some day did not come back well from there since {format_us(since_us)}"
            others = [each for each in restored.last if each.region == id and each.why]
            yield Trouble("restore-overdue", id, "; ".join([told, *(e.why for e in others[:1])]))

"""How everything stands, as a page on a terminal: the figures of the console's Regions page. Pure.

The most urgent comes first: a small window shows the top.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from holdfast.cli.marks import (
    Mood,
    ago,
    below,
    brief,
    columns,
    heading,
    sign,
    statement,
    to_do,
)
from holdfast.cli.printer import JsonObject, safe
from holdfast.proof import ProofError, names, note
from holdfast.serve.ui.words import BEHIND_US, clock, counted, short, size, span
from holdfast.times import parse_time
from holdfast.watch import advice

STATES: Final[Mapping[str, str]] = {"ok": "", "open": "left alone"}  # the others are words
SLOW_US: Final = 3_000_000  # an answer that takes longer is missed
SHOWN_MAX: Final = 10  # of alarms, findings and the like: more are counted


@dataclass(frozen=True)
class Board:
    """What is known. said: the answer of GET /v1/status; None before the first.

    checkpoints: the answer of GET /v1/checkpoints, not asked for as often; no_checkpoints: why it
    is not there. rates: events a second that each node acknowledged between the last two looks.
    asked_us: when the question was put that is not answered yet, 0: there is none. away: why there
    is no answer now, since away_us. Both by this machine's clock.
    """

    said: JsonObject | None = None
    checkpoints: JsonObject | None = None
    no_checkpoints: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    asked_us: int = 0
    away: str = ""
    away_us: int = 0

    def after(self, said: JsonObject) -> "Board":
        """The next one, with another answer."""
        rates = _rates(self.said, said)
        return replace(self, said=said, rates=rates, asked_us=0, away="", away_us=0)

    def without(self, why: str, now_us: int) -> "Board":
        """The next one, without an answer."""
        since_us = self.away_us or self.asked_us or now_us
        return replace(self, asked_us=0, away=why, away_us=since_us)


def page(board: Board, now_us: int, wide: bool = False) -> RenderableType:
    """The page. now_us: by this machine's clock, for the age of a silence."""
    parts: list[RenderableType] = []
    waiting_us = now_us - board.asked_us if board.asked_us and not board.away else 0
    if waiting_us > SLOW_US:
        parts.append(sign("behind", f"NO ANSWER yet for {span(waiting_us)}: it may be gone"))
    if board.away:
        gone = f"NO ANSWER for {span(now_us - board.away_us)}"
        parts.append(sign("down", f"{gone}: {safe(board.away)}"))
        then = "Figures below are the last ones." if board.said else "Nothing is known yet."
        parts.append(to_do(f"{then} It is asked again until it answers."))
    if board.said is not None:
        parts += _parts(board, board.said, wide)
    return Group(*parts)


def _parts(board: Board, said: JsonObject, wide: bool) -> Iterator[RenderableType]:
    now_us = parse_time(said["now"])
    yield _head(said, now_us)
    for reason in said["reasons"]:
        yield sign("down", f"NOT READY: {safe(reason)}")
    yield from statement(said, now_us)
    yield from _alarms(said["reader"])
    yield from _alerts(said.get("alerts"), now_us)
    yield from _regions(said, now_us, wide)
    yield from _ingest(said, board.rates, now_us)
    yield from _checkpoints(board, said)
    yield from _surveys(said, now_us)
    yield from _search(said["reader"], now_us)


def _head(said: JsonObject, now_us: int) -> Text:
    trail = said["trail"]
    when = f"{said['now'][:10]} {clock(now_us, now_us)} UTC"
    return Text.assemble(
        ("Holdfast", "bold"),
        f" {said['version']}   trail ",
        (safe(trail["name"]), "bold"),
        f" {short(safe(trail['id']))}   {when}   ",
        _ready(said),
    )


def _ready(said: JsonObject) -> Text:
    """Alerts are looked after by servers alone: without them a command has read the regions."""
    if not said["ready"]:
        return sign("down", "not ready")
    return sign("held", "ready") if said["alerts"] else sign("unk", "no server was asked")


def _alarms(reader: JsonObject) -> Iterator[RenderableType]:
    alarms = [
        *(f"node {safe(each['node'])}: {safe(each['reason'])}" for each in reader["alarms"]),
        *(_copy(each, "does not hash to its name") for each in reader["corrupt"]),
        *(_copy(each, safe(each["reason"])) for each in reader["strays"]),
        *(f"the last pass ended early: {safe(why)}" for why in [reader["failed"]] if why),
    ]
    for text in alarms[:SHOWN_MAX]:
        yield sign("down", f"ALARM: {text}")
    if len(alarms) > SHOWN_MAX:
        yield Text(f"  and {len(alarms) - SHOWN_MAX} more alarms", "dim")


def _alerts(alerts: JsonObject | None, now_us: int) -> Iterator[RenderableType]:
    if alerts is None:
        return
    if not alerts["open"]:
        yield sign("held", "No alert is open")
    else:
        mood: Mood = "down" if alerts["critical"] else "behind"
        yield sign(mood, f"Open: {counted(alerts['open'], 'alert')}, {alerts['critical']} critical")
        yield to_do("what each means, and what to do:", "holdfast alerts list")
    for each in alerts["channels"]:
        if each["failing"]:
            where, since = safe(each["channel"]), ago(each["failing"], now_us)
            told = f"NOT DELIVERED since {since}: alerts to {where}: {safe(each['why'])}"
            yield sign("down", told)


def _copy(each: JsonObject, what: str) -> str:
    return f"region {safe(each['region'])}: {safe(each['key'])} {what}"


def _regions(said: JsonObject, now_us: int, wide: bool) -> Iterator[RenderableType]:
    regions, trail = said["regions"], said["trail"]
    yield heading(
        "Regions",
        f"{trail['quorum']} of {len(regions)} must hold an event; "
        f"any {trail['needed']} show all that was acknowledged",
    )
    heads = ("region", "state", "segments", "bytes", "behind", "breaker", "clock", "answered")
    table = columns((*heads, "url") if wide else heads, ("segments", "bytes", "behind", "clock"))
    for region in regions:
        url = (Text(safe(region["url"]), "dim"),) if wide else ()
        table.add_row(*_region(region, now_us), *url)
    yield below(table)
    for region in regions:
        for text in _why(region):
            yield below(sign("down", f"{safe(region['region'])}: {text}"))


def _region(region: JsonObject, now_us: int) -> tuple[RenderableType, ...]:
    lag, offset = region["lag"], region["clock_offset_seconds"]
    reading, writing = region["reading"], region["writing"]
    return (
        Text(safe(region["region"]), "bold"),
        _state(region),
        f"{lag['segments']:,}" if lag else "-",
        size(lag["bytes"]) if lag else "-",
        brief(int(lag["seconds"] * 1e6)) if lag else "-",
        reading if reading == writing else f"{reading}/{writing}",
        "-" if offset is None else f"{offset:+.3f} s",
        brief(now_us - parse_time(region["answered"])) + " ago" if region["answered"] else "never",
    )


def _state(region: JsonObject) -> Text:
    """In the words of the console's page."""
    if not region["usable"]:
        if region["answered"] is None and not region["why"]:
            return sign("unk", "not known yet")
        return sign("down", "does not count")
    if region["lag"] is None:
        return sign("held", "counts")
    if region["lag"]["seconds"] * 1e6 > BEHIND_US:
        return sign("behind", "behind")
    return sign("held", "up to date")


def _why(region: JsonObject) -> Iterator[str]:
    """What is wrong with a region; `why` repeats what it is suspect of, where it says nothing."""
    if region["why"] and region["why"] != region["suspect"]:
        state = STATES.get(region["state"], safe(region["state"]))
        state = f"{state}: " if state else ""
        yield f"{state}{safe(region['why'])}"
    if region["suspect"]:
        yield f"suspect: {safe(region['suspect'])}"
    if region["lag"] and region["lag"]["dropped"]:
        yield f"{region['lag']['dropped']:,} segments are left to repair"


def _ingest(said: JsonObject, rates: Mapping[str, float], now_us: int) -> Iterator[RenderableType]:
    if not said["nodes"]:
        return
    yield heading("Ingest", "by the nodes behind this port")
    heads = ["node", "epoch", "state", "events", "segments", "waiting", "last one"]
    table = columns([*heads, "a second"] if rates else heads, heads[3:6])
    for node in said["nodes"]:
        mood: Mood = "held" if node["state"] == "open" else "down"
        rate = (f"{rates.get(node['node'], 0):,.0f}",) if rates else ()
        table.add_row(
            short(safe(node["node"])),
            str(node["epoch"]),
            sign(mood, safe(node["state"])),
            f"{node['events']:,}",
            f"{node['segments']:,}",
            f"{node['waiting']['events']:,}",
            ago(node["last_acknowledged"], now_us),
            *rate,
        )
    yield below(table)
    for node in said["nodes"]:
        if node["state"] != "open":
            yield below(sign("down", f"{short(safe(node['node']))}: {safe(node['why'])}"))


def _checkpoints(board: Board, said: JsonObject) -> Iterator[RenderableType]:
    found = _newest(board.checkpoints) if board.checkpoints else {}
    if found or board.no_checkpoints:
        yield heading("Checkpoints", "the newest of each node that wrote")
    if board.no_checkpoints:
        yield below(sign("unk", f"could not look: {safe(board.no_checkpoints)}"))
    sizes = {node["node"]: node["segments"] for node in said["nodes"]}
    for node, covered in sorted(found.items())[:SHOWN_MAX]:
        since = f", {max(0, sizes[node] - covered):,} came since" if node in sizes else ""
        yield below(Text(f"{short(node)}  covers {covered:,} segments{since}"))
    if len(found) > SHOWN_MAX:
        yield below(Text(f"and {len(found) - SHOWN_MAX} more nodes", "dim"))
    if (witnesses := said["witnesses"]) is not None:
        yield from _witnesses(witnesses)


def _witnesses(witnesses: JsonObject) -> Iterator[RenderableType]:
    all_said = f"{witnesses['cosigned']} of {len(witnesses['witnesses'])} witnesses cosigned"
    lacks = witnesses["lacking_seconds"]
    mood: Mood = "behind" if lacks else "held"
    late = f", some lack for {span(int(lacks * 1e6))}" if lacks else ""
    text = f"{all_said} the newest, {witnesses['quorum']} must{late}"
    yield below(sign(mood, text))
    for each in witnesses["witnesses"]:
        if each["failed"]:
            yield below(sign("down", f"{safe(each['witness'])}: {safe(each['failed'])}"))


def _newest(answer: JsonObject) -> dict[str, int]:
    """Segments under each node's newest checkpoint. Not verified: `holdfast checkpoint` does."""
    found = {}
    for each in answer["checkpoints"]:
        try:
            node = names.parse_ledger_origin(each["origin"])[1]
            found[node] = note.parse_checkpoint(note.parse(each["note"].encode()).text).size
        except ProofError:
            continue
    return found


def _surveys(said: JsonObject, now_us: int) -> Iterator[RenderableType]:
    survey, scrub = said["survey"], said["scrub"]
    if survey is None and scrub is None:
        return
    yield heading("Surveys", "by this process")
    if survey is not None:
        mood: Mood = "held" if survey["identical"] else "behind"
        lacks = "nothing that was compared" if survey["identical"] else "something"
        told = f"{lacks} is lacking, {survey['repaired']:,} repaired"
        text = f"names  {ago(survey['ended'], now_us)}: {told}"
        yield below(sign(mood, text))
    if scrub is not None:
        read = f"read {scrub['objects']:,} objects, {size(scrub['bytes'])}"
        ok: Mood = "down" if scrub["findings"] else "held"
        yield below(sign(ok, f"bytes  {ago(scrub['ended'], now_us)}: {read}"))
    findings = [each for part in (survey, scrub) if part for each in part["findings"]]
    for finding in findings[:SHOWN_MAX]:
        yield from _finding(finding)
    if len(findings) > SHOWN_MAX:
        yield below(Text(f"and {len(findings) - SHOWN_MAX} more findings", "dim"), 4)
    yield from _kept(said, now_us)


def _kept(said: JsonObject, now_us: int) -> Iterator[RenderableType]:
    """The archive, and days that could not be restored."""
    archive, restores = said["archive"], said["restores"]
    if archive is not None:
        wrong: Mood = "behind" if archive["trouble"] or archive["due"] else "held"
        text = (
            f"archive  {ago(archive['ended'], now_us)}: every region has {archive['units']:,} units"
        )
        yield below(
            sign(wrong, f"{text}{'; ' if archive['trouble'] else ''}{safe(archive['trouble'])}")
        )
    for each in restores["regions"] if restores is not None else ():
        for failed in each["failed"][:SHOWN_MAX]:
            told = f"{failed['day']} could not be restored from {safe(each['region'])}"
            yield below(sign("down", f"{told}: {safe(failed['why'])}"))


def _finding(finding: JsonObject) -> Iterator[RenderableType]:
    where = " ".join(safe(finding[name]) for name in ("region", "key") if finding[name])
    told = f"{safe(finding['kind'])}: {where}: {safe(finding['reason'])}"
    yield below(sign("down", told), 4)
    if (cure := advice.FINDING.get(finding["kind"])) is not None:
        yield below(to_do(cure))


def _search(reader: JsonObject, now_us: int) -> Iterator[RenderableType]:
    yield heading("Known to searches")
    yield below(
        Text(
            f"{reader['events']:,} events in {reader['segments']:,} segments, of them "
            f"{reader['repeats']:,} repeats and {reader['conflicts']:,} conflicts"
        )
    )
    passed = f"last look at the regions {ago(reader['passed'], now_us)}"
    took = f"took {reader['pass_seconds']:.1f} s; cache {size(reader['cache_bytes'])}"
    yield below(Text(f"{passed}, {took}; {reader['tails']} listening", "dim"))


def _rates(before: JsonObject | None, after: JsonObject) -> dict[str, float]:
    if before is None:
        return {}
    seconds = (parse_time(after["now"]) - parse_time(before["now"])) / 1e6
    if seconds <= 0:
        return {}
    had: dict[str, Any] = {node["node"]: node["events"] for node in before["nodes"]}
    return {
        node["node"]: max(0, node["events"] - had[node["node"]]) / seconds
        for node in after["nodes"]
        if node["node"] in had
    }

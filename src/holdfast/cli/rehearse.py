"""`holdfast rehearse`: restore a day from one region alone, check all of it, and discard it."""

import time
from typing import Annotated, Any

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, REFUTED, UNREACHED
from holdfast.cli.options import Place
from holdfast.cli.source import rejected
from holdfast.proof import MalformedError
from holdfast.regions import units
from holdfast.restore.bring import LATE_US
from holdfast.restore.restorer import Restored, Verdict
from holdfast.times import format_us

CODES: dict[Verdict, int] = {"good": GOOD, "failed": REFUTED, "unchecked": UNREACHED}
SAID: dict[Verdict, str] = {
    "good": "GOOD: all of it was restored, down to each event",
    "failed": "FAILED: this region alone does not give the day back",
    "unchecked": "COULD NOT BE TRIED: that says nothing of what the region holds",
}

NOTHING = "GOOD: nothing was stored on that day, as far as is known"


def rehearse(
    place: Place,
    region: Annotated[str, Option(metavar="ID", help="The region that everything comes from.")],
    day: Annotated[str, Option(metavar="DAY", help="The day to restore: 2026-11-29, in UTC.")],
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Rehearse a restore: restore a day from one region alone, check it, and discard it.

    A server does the same with a piece of some day every hour. Names, bytes and statements come
    from that region; nothing is changed in any. Exit 1: the region does not give the day back.
    Exit 3: it could not be tried.
    """
    from holdfast.cli.straight import opened

    try:
        units.check_day(day)
    except MalformedError as error:
        raise rejected("--day", str(error)) from None
    if units.start_us(day) > time.time_ns() // 1000:
        raise rejected("--day", f"{day} has not begun")
    with opened(place.data, place.config) as found, printer.progress("restoring", None) as bar:
        found.run(found.system.reader.pass_once())
        restorer = found.system.restorer
        done = found.run(restorer.restore_day(region, day, lambda what: bar(0, what)))
    if json:
        printer.machine_object(restored_object(done))
    else:
        _print(done)
    return CODES[done.verdict]


def restored_object(done: Restored) -> dict[str, Any]:
    """The result as `--json` has it; docs/CLI.md says what is what."""
    return {
        "verdict": done.verdict,
        "why": done.why,
        "region": done.region,
        "day": done.day,
        "started": format_us(done.started_us),
        "ended": format_us(done.ended_us),
        "segments": done.brought.segments,
        "events": done.brought.events,
        "bytes": done.brought.size_bytes,
    }


def _print(done: Restored) -> None:
    brought, seconds = done.brought, (done.ended_us - done.started_us) / 1e6
    printer.line(
        f"{done.day} from region {done.region}: {brought.segments} segments, {brought.events} "
        f"events, {brought.size_bytes} bytes in {seconds:.1f} s"
    )
    if done.why:
        printer.line(printer.safe(f"{done.what}: {done.why}"))
    nothing = done.verdict == "good" and not brought.segments
    printer.line(NOTHING if nothing else SAID[done.verdict])
    if done.ended_us < units.start_us(done.day) + units.DAY_US + LATE_US:
        printer.note("the day is not over: what was stored in the last two minutes is left out")

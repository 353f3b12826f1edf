"""`holdfast alerts`: what is wrong now, and who is told."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Target, this_user
from holdfast.cli.printer import safe
from holdfast.cli.source import decode, open_client, rejected

_DURATION: Final = re.compile(r"(\d{1,5})(s|m|h|d)", re.ASCII)
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PAST_SHOWN: Final = 20
_SILENCING: Final = "To have nobody told: holdfast alerts silence KEY --for 2h --why TEXT"


def list_alerts(
    target: Target, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """Say what is wrong, what each means and what to do, and what is over."""
    with open_client(target) as client:
        answer = client.get_bytes("/v1/alerts")
    if json:
        printer.machine(answer)
        return GOOD
    said = decode(answer)
    for alert in said["open"]:
        _print(alert)
    printer.line(_SILENCING if said["open"] else "nothing is wrong")
    for text in _others(said):
        printer.line(text)
    if said["past"]:
        printer.line()
        head = ("opened", "resolved", "severity", "what")
        printer.table(head, [_row(each) for each in said["past"][:_PAST_SHOWN]])
    return GOOD


def silence(
    target: Target,
    match: Annotated[
        str, Argument(metavar="KEY", help="An alert's key; * stands for any text: 'region-*:b'.")
    ],
    for_: Annotated[
        str, Option("--for", metavar="TIME", help="How long, such as 2h or 3d; 0s ends it.")
    ],
    why: Annotated[str, Option(metavar="TEXT", help="As all will see it.")] = "",
    by: Annotated[str, Option(metavar="TEXT", help="Who. (default: this user)")] = "",
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Tell nobody of some alerts for a while. They are listed all the same."""
    found = _DURATION.fullmatch(for_)
    if found is None:
        raise rejected("--for", "is a number and s, m, h or d, such as 2h")
    seconds = int(found[1]) * _UNIT_S[found[2]]
    if seconds and not why:
        raise rejected("--why", "must say why, for all who see it")
    wanted = {"match": match, "for_s": seconds, "why": why or "over", "by": by or this_user()}
    with open_client(target) as client:
        answer = client.post("/v1/alerts/silences", wanted)
    if json:
        printer.machine(answer)
        return GOOD
    said = decode(answer)
    what = f"silenced until {safe(said['until'])}" if seconds else "no silence any more"
    printer.line(f"{what}: {safe(match)}")
    printer.line(f"of what is open: {safe(', '.join(said['covers'])) or 'nothing'}")
    return GOOD


def _print(alert: dict[str, Any]) -> None:
    printer.line(f"{safe(alert['severity']).upper()}: {safe(alert['title'])}")
    printer.line(f"  key      {safe(alert['key'])}")
    quiet = f", silenced until {safe(alert['silenced'])}" if alert["silenced"] else ""
    printer.line(f"  since    {safe(alert['since'])}{quiet}")
    printer.line(f"  facts    {safe(alert['summary'])}")
    printer.line(f"  means    {safe(alert['means'])}")
    for step in alert["do"]:
        printer.line(f"  do       {safe(step['text'])}")
        if step["command"]:
            printer.line(f"             {safe(step['command'])}")
    printer.line()


def _others(said: dict[str, Any]) -> Iterator[str]:
    for each in said["silences"]:
        yield (
            f"silenced: {safe(each['match'])} until {safe(each['until'])} by {safe(each['by'])}: "
            f"{safe(each['why'])}"
        )
    for each in said["channels"]:
        if each["failing"]:
            yield (
                f"NOT DELIVERED: {safe(each['channel'])} takes nothing since "
                f"{safe(each['failing'])}: {safe(each['why'])}; {each['waiting']} waiting"
            )


def _row(alert: dict[str, Any]) -> tuple[str, ...]:
    return tuple(safe(alert[name]) for name in ("opened", "resolved", "severity", "title"))

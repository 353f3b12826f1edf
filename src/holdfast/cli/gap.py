"""`holdfast gap`: what is known to be lost for good."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from typer import Option

from holdfast.cli import printer
from holdfast.cli.declaring import confirm, say_where, with_trail_key
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Lost, Place, Word
from holdfast.cli.source import rejected
from holdfast.keep.declare import declare
from holdfast.keep.gaps import Asked, Proposed, propose_gap
from holdfast.ports import Host
from holdfast.proof import ProofError, names
from holdfast.regions import Regions
from holdfast.regions.signing import SigningKey
from holdfast.times import format_us


def declare_gap(
    place: Place,
    lost: Lost,
    word: Word,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """State under the trail's key that segments are lost, so that reading goes on behind them.

    Looks at every region itself, and refuses while any of them has a good copy or does not answer.
    Exit 3: a region does not answer, or too few took the statement: run it again.
    """
    node = node_of(lost.node)
    asked = Asked(node, lost.from_, lost.to, word.gone, word.author, word.why)

    async def work(
        regions: Regions, key: SigningKey, host: Host
    ) -> tuple[Proposed, Mapping[str, str]]:
        found = await propose_gap(regions, key, host, asked)
        confirm(_shown(node, found), word.yes)
        return found, await declare(regions, found.key, found.data, asked.gone)

    found, told = with_trail_key(place, work)
    if json:
        printer.machine_object(_object(node, found, told))
    say_where(told)
    return GOOD


def node_of(node: str) -> str:
    """A node's id as given; raises RejectedError."""
    try:
        return names.check_id(node)
    except ProofError as error:
        raise rejected("--node", str(error)) from None


def _shown(node: str, found: Proposed) -> Iterator[str]:
    gap = found.gap
    until = format_us(gap.until_us) if gap.until_us else "an unknown time"
    if not found.is_new:
        yield f"this gap was stated at {format_us(gap.declared_us)} by {gap.by}; it goes on with:"
    yield f"GAP in node {node}: the segments {gap.start} up to {gap.end} are lost"
    yield f"  received after {format_us(gap.after_us)} and until {until}"
    if gap.first is not None and gap.next is not None:
        yield f"  {gap.next - gap.first} events, from position {gap.first} on"
    yield f"  no good copy in {', '.join(id for id, _ in gap.regions)}"
    if gap.gone:
        yield f"  not asked, since gone for good: {', '.join(gap.gone)}"
    for region, key in found.corrupt:
        yield f"  a copy that is not good: {key} in {region}"
    yield f"  because: {gap.cause}"
    yield "Every answer names the gap from now on, and `completeness` exits with 4."


def _object(node: str, found: Proposed, told: Mapping[str, str]) -> dict[str, Any]:
    """What `--json` prints; docs/CLI.md says what is what."""
    gap = found.gap
    return {
        "node": node,
        "from": gap.start,
        "to": gap.end,
        "first": gap.first,
        "next": gap.next,
        "after": format_us(gap.after_us),
        "until": format_us(gap.until_us) if gap.until_us else None,
        "regions": [id for id, _ in gap.regions],
        "gone": list(gap.gone),
        "by": gap.by,
        "cause": gap.cause,
        "declared": format_us(gap.declared_us),
        "key": found.key,
        "stored": [id for id, why in told.items() if not why],
    }

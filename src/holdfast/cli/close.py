"""`holdfast close`: where an epoch ends that cannot be decided without a person."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from typer import Option

from holdfast.cli import printer
from holdfast.cli.declaring import confirm, say_where, with_trail_key
from holdfast.cli.exits import GOOD
from holdfast.cli.gap import node_of
from holdfast.cli.options import Place, Word
from holdfast.cli.source import rejected
from holdfast.errors import UnavailableError
from holdfast.keep.declare import declare
from holdfast.ports import Host
from holdfast.proof import ProofError, statements
from holdfast.regions import Regions, layout
from holdfast.regions.port import Present, Unknown
from holdfast.regions.signing import SigningKey
from holdfast.write.declared import ProposedEnd, propose_end


def declare_close(
    place: Place,
    node: Annotated[str, Option(help="Whose epoch it is: 32 hex digits.")],
    epoch: Annotated[int, Option(min=1, help="Its number.")],
    word: Word,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """State under the trail's key where an epoch ends, when its votes are split for ever.

    Refuses while the votes decide, or a region that answers can still vote. Exit 3: too few regions
    answer, or took the statement: run it again.
    """
    node, gone = node_of(node), word.gone

    async def work(
        regions: Regions, key: SigningKey, host: Host
    ) -> tuple[ProposedEnd, Mapping[str, str]]:
        for id in sorted(set(gone) - set(regions.by_id)):
            raise rejected("--region-gone", f"{id} is no region of the settings")
        birth = await find_birth(regions, node, epoch)
        found = await propose_end(regions, birth, key, host, gone, f"{word.author}: {word.why}")
        confirm(_shown(node, epoch, found), word.yes)
        return found, await declare(regions, found.key, found.data, gone)

    found, told = with_trail_key(place, work)
    if json:
        printer.machine_object(_object(node, epoch, found, told))
    say_where(told)
    return GOOD


async def find_birth(regions: Regions, node: str, epoch: int) -> bytes:
    """The epoch's birth: the one that most regions have. Raises as the command does."""
    found: list[bytes] = []
    silent: list[str] = []
    for region in regions:
        answer = await region.read(layout.birth_key(node, epoch))
        if isinstance(answer, Unknown):
            silent.append(region.id)
        if isinstance(answer, Present):
            try:
                statements.verify_birth(answer.data, regions.trail)
            except ProofError:
                continue
            found.append(answer.data)
    if found:
        return max(sorted(set(found)), key=found.count)
    if silent:
        raise UnavailableError(f"no birth of it was seen, and {', '.join(silent)} do not answer")
    raise rejected("--epoch", "no region shows a birth of it")


def _shown(node: str, epoch: int, found: ProposedEnd) -> Iterator[str]:
    size = found.end.size
    if not found.is_new:
        yield "this close was declared before; it goes on with:"
    yield f"CLOSE of epoch {epoch} of node {node}: it ends at {size} segments, "
    yield f"  {found.end.first} events in all"
    for id, vote in found.votes.items():
        yield f"  region {id} voted for {vote}"
    if found.unseen:
        yield f"  without the regions {', '.join(found.unseen)}"
    if found.run_size < size:
        yield f"  the segments from {found.run_size} on were seen by a vote and are not found now:"
        yield "  they are a hole, until they turn up or `holdfast gap declare` states them lost"
    yield f"What only lies in regions that had no say, from segment {size} on, will never be in the"
    yield "trail. It was not acknowledged, unless other regions have lost what they held as well."


def _object(node: str, epoch: int, found: ProposedEnd, told: Mapping[str, str]) -> dict[str, Any]:
    """What `--json` prints; docs/CLI.md says what is what."""
    return {
        "node": node,
        "epoch": epoch,
        "size": found.end.size,
        "events": found.end.first,
        "found": found.run_size,
        "votes": dict(found.votes),
        "unseen": list(found.unseen),
        "key": found.key,
        "stored": [id for id, why in told.items() if not why],
    }

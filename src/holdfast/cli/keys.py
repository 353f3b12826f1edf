"""`holdfast keys`: who may write to the trail, and who may no more."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from holdfast.cli import printer
from holdfast.cli.declaring import confirm, say_where, with_trail_key
from holdfast.cli.exits import GOOD
from holdfast.cli.gap import node_of
from holdfast.cli.options import Place, Word
from holdfast.cli.place import settings_of, trail_key_of
from holdfast.cli.source import rejected
from holdfast.cli.straight import opened
from holdfast.keep.retire import Done, Wish, find_member
from holdfast.keep.retire import retire as retire_node
from holdfast.keep.roster import Member, look_for_nodes
from holdfast.ports import Host
from holdfast.proof import ProofError, names
from holdfast.proof.note import VerifierKey
from holdfast.regions import Regions
from holdfast.regions.disk import PosixDisk
from holdfast.regions.signing import SigningKey, public_key
from holdfast.regions.trailkey import KEY_FILE
from holdfast.settings import Settings
from holdfast.times import format_us
from holdfast.write.identity import certify
from holdfast.write.keyfiles import KeyFiles, node_directories

REQUEST_BYTES_MAX = 4096


def show(
    place: Place, json: Annotated[bool, Option("--json", help="One JSON object.")] = False
) -> int:
    """Show every node that ever wrote to the trail, and the keys that lie on this machine."""
    with opened(place.data, place.config) as found:
        regions = found.system.regions
        members = found.run(look_for_nodes(regions))
        answer = {
            "trail": regions.trail,
            "name": regions.trail_name,
            "here": _here(found.system.settings, regions.trail),
            "nodes": [_shown(each) for each in members.values()],
        }
    if json:
        printer.machine_object(answer)
    else:
        printer.tree(answer)
    return GOOD


def _here(settings: Settings, trail: str) -> dict[str, Any]:
    """What lies in the data directory: whether the trail's key, and which nodes'."""
    directories = node_directories(settings.data_path)
    return {
        "trail_key": (settings.data_path / KEY_FILE).exists(),
        "nodes": [_held(KeyFiles(each, PosixDisk()), trail) for each in directories],
    }


def _held(files: KeyFiles, trail: str) -> dict[str, Any]:
    seed, certificate = files.read()
    key = None if seed is None else _node_key(trail, seed)
    admitted = "elsewhere" if files.is_admitted() else "here"
    return {
        "directory": f"nodes/{files.directory.name}",
        "node": names.node_id(key.public) if key else None,
        "request": key.text if key else None,
        "certified": admitted if certificate is not None else None,
    }


def _node_key(trail: str, seed: bytes) -> VerifierKey:
    public = public_key(seed)
    return VerifierKey(names.ledger_origin(trail, names.node_id(public)), public)


def _shown(member: Member) -> dict[str, Any]:
    retired = member.retired
    return {
        "node": member.node,
        "key": VerifierKey(member.origin, member.certificate.node_key).text,
        "certified": format_us(member.certificate.certified_us),
        "epoch": member.epoch,
        "started": format_us(member.born.started_us),
        "state": "retired" if retired else "closed" if member.closed else "open",
        "retired": format_us(retired.retired_us) if retired else None,
        "retired_by": retired.by if retired else None,
        "retired_why": retired.why if retired else None,
        "segments": retired.end.size if retired else None,
    }


def admit(
    request: Annotated[
        str,
        Argument(
            metavar="REQUEST",
            help="The node's public key as its start printed it, or a file that holds it.",
        ),
    ],
    place: Place,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="Write here instead of to standard output.")
    ] = None,
) -> int:
    """Certify a node under the trail's key, on a machine that has it.

    The answer belongs beside the node's own key, as DIR/nodes/0/node.cert, or in the directory
    that the start of a further process named.
    """
    trail = trail_key_of(settings_of(place.data, place.config))
    try:
        key = VerifierKey.parse(_request(request))
    except ProofError as error:
        raise rejected("REQUEST", str(error)) from None
    node = names.node_id(key.public)
    if key.name != names.ledger_origin(trail.trail, node):
        raise rejected("REQUEST", f"is named {key.name!r}: it is not for the trail {trail.trail}")
    note = certify(trail.trail, trail.signing, key.public, time.time_ns() // 1000)
    if out is None:
        printer.machine(note.removesuffix(b"\n"))
        return GOOD
    out.write_bytes(note)
    printer.line(f"node {node} is admitted to the trail {trail.trail}: {out}")
    return GOOD


def _request(text: str) -> str:
    """A key as it was given, or the one in the file that was named."""
    if "+" in text or not text:
        return text
    try:
        with Path(text).open("rb") as file:
            return file.read(REQUEST_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError as error:
        raise rejected("REQUEST", f"{text} cannot be read: {error.strerror}") from None


def retire(
    node: Annotated[str, Argument(metavar="NODE", help="Its id: 32 hex digits.")],
    place: Place,
    word: Word,
    at: Annotated[
        int | None,
        Option(min=0, metavar="SIZE", help="Only so many of its segments are legitimate."),
    ] = None,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """State under the trail's key that a node writes no more; ends its epoch where it runs.

    Segments of it beyond the end that is stated count as forged, whoever signed them. Exit 3: too
    few regions answer, or took the statement: run it again.
    """
    wish = Wish(node_of(node), at, word.gone, word.author, word.why)

    async def work(regions: Regions, key: SigningKey, host: Host) -> Done:
        member = await find_member(regions, wish)
        confirm(_asked(member, wish), word.yes)
        return await retire_node(regions, key, host, wish)

    done = with_trail_key(place, work)
    if json:
        printer.machine_object(_object(wish.node, done))
    say_where(done.told)
    return GOOD


def _asked(member: Member, wish: Wish) -> Iterator[str]:
    if member.retired is not None:
        told = format_us(member.retired.retired_us)
        yield f"it was retired at {told} by {member.retired.by}; this goes on with that"
    yield f"RETIRE node {member.node}: it never writes again, and epoch {member.epoch} is its last"
    if not member.closed:
        yield "  that epoch is open: it is ended now, and whoever sends to it must send elsewhere"
    if wish.size is not None:
        yield f"  only its first {wish.size} segments are legitimate: later ones are findings"
    yield f"  because: {wish.why}"


def _object(node: str, done: Done) -> Mapping[str, Any]:
    """What `--json` prints; docs/CLI.md says what is what."""
    said = done.retired
    return {
        "node": node,
        "epoch": said.epoch,
        "size": said.end.size,
        "events": said.end.first,
        "decided": done.decided.size,
        "by": said.by,
        "why": said.why,
        "retired": format_us(said.retired_us),
        "key": done.key,
        "stored": [id for id, why in done.told.items() if not why],
    }

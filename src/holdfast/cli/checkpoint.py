"""`holdfast checkpoint`: what an outsider keeps of a trail, a note a node."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, INCOMPLETE, REFUTED, UNREACHED, code_of, text_of, worst
from holdfast.cli.options import Where
from holdfast.cli.source import Source, decode, open_source, rejected
from holdfast.client import ClientError
from holdfast.errors import HoldfastError
from holdfast.proof import MismatchError, ProofError, merkle, names, note, statements
from holdfast.proof.note import Checkpoint, VerifierKey, decode_base64
from holdfast.regions.cosignature import WitnessKey


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of the output."""

    origin: str
    note: str


@dataclass(frozen=True)
class Kept:
    """The largest checkpoint of a ledger that is held on to. source: where it was kept."""

    note: bytes
    checkpoint: Checkpoint
    source: str


def checkpoint(
    where: Where,
    expect: Annotated[
        Path | None,
        Option(metavar="FILE", help="Notes kept before: only what grew out of them is printed."),
    ] = None,
    trail: Annotated[str, Option(metavar="ID", help="The trail's id, known from elsewhere.")] = "",
    witness: Annotated[
        list[str] | None,
        Option(metavar="VKEY", help="Only what this witness cosigned. Repeatable: all of them."),
    ] = None,
    follow: Annotated[
        bool, Option("--follow", help="Go on: print newer notes as they come.")
    ] = False,
    every: Annotated[
        float, Option(metavar="SECONDS", min=1, help="How often --follow looks.")
    ] = 60.0,
) -> int:
    """Print each node's newest checkpoint that is not kept yet, a JSON line each: keep them all.

    Exit 1: a checkpoint does not follow from the one kept before it, or is not signed as it must
    be. Exit 4: less is there than was kept. Exit 3: too few regions could be looked at.
    """
    kept = _read_kept(expect) if expect else {}
    watch = Watch(_trail_of(trail), kept, [_witness_of(each) for each in witness or ()])
    with open_source(where, events=False) as source:
        while True:
            code = _round(watch, source, follow)
            if not follow or code == REFUTED:
                return code
            time.sleep(every)


def _round(watch: "Watch", source: Source, follow: bool) -> int:
    """One look; whoever follows outlives a server or a region that is away."""
    try:
        return watch.look(source)
    except (HoldfastError, ClientError, OSError) as error:
        if not follow or code_of(error) != UNREACHED:
            raise
        watch.say(text_of(error))
        return UNREACHED


class Watch:
    """What is kept so far, and the look that adds to it."""

    def __init__(
        self, trail: str, kept: Mapping[str, Kept], witnesses: Sequence[WitnessKey] = ()
    ) -> None:
        """trail: "" where the first answer is believed. kept: by origin. witnesses: that must all
        have cosigned what is printed."""
        self._witnesses = witnesses
        self._trail = trail or _trail_in(kept)
        self._kept = dict(kept)
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Tell a person, once."""
        if text not in self._said:
            self._said.add(text)
            printer.note(printer.safe(text))

    def look(self, source: Source) -> int:
        """Print what is newer than what is kept, and follows from it; the exit code."""
        answer = decode(source.checkpoints())
        self._trail = self._trail or _trail_of(answer["trail"])
        if answer["trail"] != self._trail:
            self.say(f"this is the trail {answer['trail']}, not {self._trail}")
            return REFUTED
        codes = [GOOD, *self._conflicts(answer)]
        if not answer["enough"]:
            told = "; ".join(f"{each['region']}: {each['reason']}" for each in answer["absent"])
            self.say(f"too few regions could be looked at: newer ones may exist ({told})")
            codes.append(UNREACHED)
        shown = answer["cosigned" if self._witnesses else "checkpoints"]
        found = {each["origin"]: each for each in shown}
        for origin in sorted(found.keys() | self._kept.keys()):
            codes.append(self._judge(source, origin, found.get(origin), answer["enough"]))
        return worst(codes)

    def _conflicts(self, answer: Mapping[str, Any]) -> Iterator[int]:
        for each in answer["conflicts"]:
            self.say(f"{each['origin']}: two checkpoints of one size differ; here are both:")
            for text in each["notes"]:
                self.say(msgspec.json.encode(Line(each["origin"], text)).decode())
            yield REFUTED

    def _judge(
        self, source: Source, origin: str, found: Mapping[str, str] | None, enough: bool
    ) -> int:
        kept = self._kept.get(origin)
        if found is None:
            self.say(f"{origin}: nothing is there any more, and a checkpoint of it is kept")
            return INCOMPLETE if enough else UNREACHED
        try:
            key = self._key(origin, found["certificate"])
            newest = note.verify_checkpoint(found["note"].encode(), key)
            if why := self._not_cosigned(found["note"].encode()):
                self.say(f"{origin}: the checkpoint of {newest.size} segments {why}")
                return INCOMPLETE
            if kept is not None:
                _check_kept(kept, key)
                old, new = sorted((kept.checkpoint, newest), key=lambda each: each.size)
                if why := _why_not_grown(source, origin, old, new):
                    self.say(f"{origin}: {why}")
                    return INCOMPLETE if enough else UNREACHED
        except ProofError as error:
            self.say(f"{origin}: {error}")
            if kept is not None:
                self.say(f"the one that is kept ({kept.source}): {kept.note.decode()}")
                self.say(f"the one that is shown: {found['note']}")
            return REFUTED
        if kept is None or newest.size > kept.checkpoint.size:
            printer.machine(msgspec.json.encode(Line(origin, found["note"])))
            self._kept[origin] = Kept(found["note"].encode(), newest, "seen since the start")
        return GOOD

    def _not_cosigned(self, data: bytes) -> str:
        """Which of the witnesses did not cosign; a bad cosignature is as good as none."""
        for key in self._witnesses:
            try:
                note.verify(data, [key])
            except ProofError as error:
                return f"is not cosigned by {key.name}: {error}"
        return ""

    def _key(self, origin: str, certificate: str) -> VerifierKey:
        trail, node = names.parse_ledger_origin(origin)
        if trail != self._trail:
            raise MismatchError(f"it is not of the trail {self._trail}")
        said = statements.verify_certificate(certificate.encode(), trail).statement
        if said.node != node:
            raise MismatchError("the certificate is another node's")
        return VerifierKey(origin, said.node_key)


def _why_not_grown(source: Source, origin: str, old: Checkpoint, new: Checkpoint) -> str:
    """Why it could not be seen that one ledger has both; "" where it has.

    Raises:
        MismatchError: it has not.
    """
    hashes: list[bytes] = []
    if 0 < old.size < new.size:
        asked = {"origin": origin, "old": str(old.size), "new": str(new.size)}
        answer = decode(source.consistency(asked))
        if answer["hashes"] is None:
            return str(answer["reason"])
        hashes = [decode_base64(each) for each in answer["hashes"]]
    try:
        merkle.verify_consistency(old.size, old.root, new.size, new.root, hashes)
    except MismatchError as error:
        raise MismatchError(
            f"REFUTED: the checkpoint of {new.size} segments does not follow from that of "
            f"{old.size} ({error})"
        ) from None
    return ""


def _check_kept(kept: Kept, key: VerifierKey) -> None:
    """A kept note that the node never signed is a mistake in the file, and no word on the trail."""
    try:
        note.verify_checkpoint(kept.note, key)
    except ProofError as error:
        raise rejected(kept.source, f"is no checkpoint of the node: {error}") from None


def _read_kept(path: Path) -> dict[str, Kept]:
    """The largest checkpoint of each origin in a file of such lines."""
    kept: dict[str, Kept] = {}
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            source = f"{path}, line {number}"
            try:
                line = msgspec.json.decode(text, type=Line)
                found = note.parse_checkpoint(note.parse(line.note.encode()).text)
                names.parse_ledger_origin(line.origin)
            except (msgspec.MsgspecError, ProofError) as error:
                raise rejected(source, f"is no checkpoint: {error}") from None
            if found.origin != line.origin:
                raise rejected(source, "the note speaks of another ledger than the line")
            known = kept.get(line.origin)
            if known is None or found.size > known.checkpoint.size:
                kept[line.origin] = Kept(line.note.encode(), found, source)
    return kept


def _trail_in(kept: Mapping[str, Kept]) -> str:
    trails = {names.parse_ledger_origin(origin)[0] for origin in kept}
    if len(trails) > 1:
        raise rejected("--expect", f"holds notes of several trails: {', '.join(sorted(trails))}")
    return next(iter(trails), "")


def _witness_of(text: str) -> WitnessKey:
    try:
        return WitnessKey.parse(text)
    except ProofError as error:
        raise rejected("--witness", str(error)) from None


def _trail_of(text: str) -> str:
    try:
        return names.check_id(text) if text else ""
    except ProofError as error:
        raise rejected("--trail", str(error)) from None

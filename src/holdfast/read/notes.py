"""Births, closes, gaps, floors and heartbeats as they were read, verified before anything follows.
Pure."""

from collections.abc import Callable, MutableMapping

from holdfast.model import Gap, NodeId
from holdfast.proof import MismatchError, ProofError, names, statements
from holdfast.proof.note import VerifierKey
from holdfast.proof.statements import Closed, Heartbeat
from holdfast.read.ledgers import NodeLedger
from holdfast.regions.layout import EpochKey, FloorKey, GapKey
from holdfast.regions.retained import Floor, verify_retained
from holdfast.regions.retaining import Out

Ledgers = Callable[[NodeId], NodeLedger]
Floors = MutableMapping[Out, Floor]
Key = EpochKey | GapKey | FloorKey


def take(ledgers: Ledgers, floors: Floors, trail: str, key: Key, data: bytes) -> str:
    """Let a ledger know a birth, a closed note or a gap; or note a floor.

    Returns:
        Why it proves nothing; "" where it does.
    """
    try:
        if isinstance(key, FloorKey):
            floor = verify_retained(key, data, trail).statement
            assert isinstance(floor, Floor), "it is of the key's kind"
            floors[key.unit, key.retention] = floor
        elif isinstance(key, GapKey):
            _take_gap(ledgers, trail, key, data)
        elif key.kind == "birth":
            _take_birth(ledgers, trail, key, data)
        else:
            _take_closed(ledgers, trail, key, data)
    except ProofError as error:
        return str(error)
    return ""


def _take_birth(ledgers: Ledgers, trail: str, key: EpochKey, data: bytes) -> None:
    try:
        birth = statements.verify_birth(data, trail)
        if (birth.origin, birth.statement.epoch) != (_origin(trail, key), key.epoch):
            raise MismatchError("it is the birth of another epoch")
    except ProofError as error:
        ledgers(key.node).doubt(key.epoch, str(error))
        raise
    ledgers(key.node).born(birth.statement, data)


def _take_closed(ledgers: Ledgers, trail: str, key: EpochKey, data: bytes) -> None:
    closed = statements.verify_by_certificate(data, Closed, trail)
    if (closed.origin, closed.statement.epoch) != (_origin(trail, key), key.epoch):
        raise MismatchError("it is the close of another epoch")
    ledgers(key.node).closed(closed.statement)


def _take_gap(ledgers: Ledgers, trail: str, key: GapKey, data: bytes) -> None:
    gap = statements.verify_gap(data, trail)
    said = gap.statement
    if (gap.origin, said.start, said.end) != (_origin(trail, key), key.start, key.end):
        raise MismatchError("it is a gap elsewhere")
    until_us = said.declared_us if said.until_us is None else said.until_us
    ledgers(key.node).lost(Gap(key.node, said.start, said.end, said.after_us, until_us, said.cause))


def hear(ledger: NodeLedger, trail: str, data: bytes) -> str:
    """Let a ledger whose node's key is known have a heartbeat. Returns as `take`."""
    origin = names.ledger_origin(trail, ledger.node)
    try:
        signed = statements.verify(data, Heartbeat, VerifierKey(origin, ledger.key))
    except ProofError as error:
        return str(error)
    if signed.origin != origin:
        return "it speaks of another node"
    if signed.statement.epoch:  # 0: written only to compare clocks, before a birth
        ledger.promised(signed.statement)
        ledger.doubt(signed.statement.epoch, "its heartbeat was seen, no birth was")
    return ""


def _origin(trail: str, key: EpochKey | GapKey) -> str:
    return names.ledger_origin(trail, key.node)

"""`holdfast drill`: break a scratch copy of this configuration, and say what it survived."""

import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD, REFUTED, UNREACHED
from holdfast.cli.options import Place
from holdfast.cli.place import settings_of
from holdfast.cli.scratch import (
    Event,
    NotInTimeError,
    Scratch,
    Server,
    changed,
    scratch,
    wait_until,
)
from holdfast.client import ClientError
from holdfast.errors import HoldfastError
from holdfast.settings import Settings
from holdfast.times import format_us

PATIENCE_SECONDS: Final = 60.0
EVENTS_BEFORE: Final = 20
LIMIT_NDJSON: Final = "1000000"
WRONG_SHOWN: Final = 3


@dataclass
class Trial:
    """One thing that was broken. Seconds; None: nothing to wait for, or it did not happen.

    trial: a stable word. did: what was done, for people. is_changed: an event was lost, doubled or
    changed. why: what was not survived. acknowledging_s: from the fault to an acknowledgement of
    what was sent after it (from its end, where every region must hold an event). searching_s: how
    long a search took meanwhile. caught_up_s, repaired_s: from the fault's end until
    `complete_through` had passed it, and until all regions held the same.
    """

    trial: str
    did: str
    survived: bool = False
    is_changed: bool = False
    why: str = ""
    acknowledging_s: float | None = None
    searching_s: float | None = None
    caught_up_s: float | None = None
    repaired_s: float | None = None


def drill(
    place: Place,
    json: Annotated[bool, Option("--json", help="One JSON object.")] = False,
) -> int:
    """Break a scratch copy of this configuration: regions, bytes, processes. Takes a minute.

    The copy has as many regions, the same quorum and intervals, in a temporary directory; the real
    regions and keys are never touched. Exit 1: an acknowledged event was lost or changed. Exit 3:
    the drill could not be run, or something did not come back in time.
    """
    settings = settings_of(place.data, place.config)
    begun = time.monotonic()
    trials: list[Trial] = []
    with scratch(settings) as made:
        if not json:
            _introduce(made)
        play = Drill(made)
        for trial in play.run():
            trials.append(trial)
            if not json:
                printer.announce(_line(trial))
        acknowledged, shortened = len(made.acknowledged), made.shortened
    if json:
        printer.machine_object(
            {
                "survived": all(trial.survived for trial in trials),
                "regions": len(settings.regions) - len(settings.leaving),
                "quorum": settings.quorum,
                "shortened": shortened,
                "acknowledged": acknowledged,
                "seconds": round(time.monotonic() - begun, 1),
                "trials": [_rounded(asdict(trial)) for trial in trials],
            }
        )
    else:
        _conclude(trials, acknowledged, time.monotonic() - begun)
    return exit_code(trials)


def exit_code(trials: list[Trial]) -> int:
    """Refuted before unreached before good."""
    if any(trial.is_changed for trial in trials):
        return REFUTED
    return GOOD if all(trial.survived for trial in trials) else UNREACHED


class Drill:
    """The trials, one after the other, on one scratch trail under load."""

    def __init__(self, made: Scratch) -> None:
        self._made = made
        self._settings: Settings = made.settings
        self._server: Server = made.serve("one")
        self._sender = made.send_to(self._server)
        self._intact = next(iter(made.regions))
        self._region = list(made.regions)[-1]
        self._folder = made.regions[self._region]
        self._spare = self._settings.quorum < len(made.regions)
        self._broken = 0.0  # when the last fault happened, by the monotonic clock

    def run(self) -> Iterator[Trial]:
        """Each trial as it ends. What one region alone cannot survive is left out where there is
        only one."""
        wait_until("the first events are acknowledged", self._has_begun, PATIENCE_SECONDS)
        region = f"region {self._region}"
        away = f"{region} went away and came back"
        wiped = f"{region} was wiped, and restored from an older copy"
        rotten = f"a byte of a segment in {region} rotted; the server was killed, its cache deleted"
        if len(self._made.regions) > 1:
            yield self._try("region-away", away, self._away, self._back)
            yield self._try("region-wiped", wiped, self._wipe, self._restore)
            yield self._try("corrupt-byte", rotten, self._rot)
        killed = "the server was killed (SIGKILL) and started again"
        yield self._try("killed", killed, self._kill)
        deleted = "the server's cache was deleted under it"
        yield self._try("cache-deleted", deleted, self._delete_cache)
        lost = "a second node wrote, and was lost for good with its directory"
        yield self._try("node-lost", lost, self._lose_a_node)
        yield self._try_without_server()

    def _try(
        self,
        name: str,
        did: str,
        fault: Callable[[], None],
        heal: Callable[[], None] | None = None,
    ) -> Trial:
        """heal: of a fault of a region; others heal by themselves."""
        trial = Trial(name, did)
        try:
            self._broken = time.monotonic()
            fault()
            try:
                if heal is None or self._spare:
                    trial.acknowledging_s = self._acknowledging()
                trial.searching_s = self._searching()
            finally:
                if heal is not None:
                    heal()
            healed_us = time.time_ns() // 1000
            if trial.acknowledging_s is None:
                self._broken = time.monotonic()
                trial.acknowledging_s = self._acknowledging()
            trial.caught_up_s = self._catching_up(healed_us)
            if heal is not None:
                trial.repaired_s = self._repairing(healed_us)
        except (NotInTimeError, HoldfastError, ClientError, OSError) as error:
            trial.why = str(error)
        self._judge(trial, lambda: list(self._server.events()))
        return trial

    def _judge(self, trial: Trial, find: Callable[[], list[Event]]) -> None:
        """What was acknowledged before the question is found once each, as it was sent."""
        acknowledged = self._made.acknowledged
        try:
            wrong = changed(acknowledged, find())
        except (HoldfastError, ClientError) as error:
            trial.why = trial.why or str(error)
            return
        if wrong:
            trial.is_changed = True
            trial.why = "; ".join(wrong[:WRONG_SHOWN])
        trial.survived = not trial.why

    def _try_without_server(self) -> Trial:
        did = f"the server was stopped, and region {self._intact} alone was left to read"
        trial = Trial("no-server", did)
        try:
            self._sender.close()
            if len(self._made.regions) > 1:
                self._repairing(time.time_ns() // 1000)
            self._server.end(signal.SIGTERM)
            for id, folder in self._made.regions.items():
                if id != self._intact:
                    shutil.rmtree(folder)
        except (NotInTimeError, ClientError, OSError) as error:
            trial.why = str(error)
        begun = time.monotonic()
        self._judge(trial, self._read_straight)
        trial.searching_s = time.monotonic() - begun
        return trial

    # -- what is waited for --------------------------------------------------------------------

    def _has_begun(self) -> bool:
        return len(self._sender.acknowledged) >= EVENTS_BEFORE

    def _acknowledging(self) -> float:
        seconds = PATIENCE_SECONDS + self._settings.ack_timeout_s
        return self._sender.wait_for_acknowledgement(self._broken, seconds)

    def _searching(self) -> float:
        begun = time.monotonic()
        self._server.client.get("/v1/events", {"limit": "100"})
        return time.monotonic() - begun

    def _catching_up(self, since_us: int) -> float:
        since = format_us(since_us)

        def has_passed() -> bool:
            said = self._server.client.get("/v1/completeness")
            return str(said["complete_through"] or "") > since

        return wait_until("complete_through catches up", has_passed, PATIENCE_SECONDS)

    def _repairing(self, since_us: int) -> float:
        since = format_us(since_us)

        def is_repaired() -> bool:
            survey = self._server.client.get("/v1/status")["survey"]
            return bool(survey and survey["identical"] and survey["ended"] > since)

        return wait_until("all regions hold the same", is_repaired, PATIENCE_SECONDS)

    def _read_straight(self) -> list[Event]:
        lines = self._made.ask("search", "--ndjson", "--limit", LIMIT_NDJSON).splitlines()
        return [msgspec.json.decode(line, type=dict[str, object]) for line in lines]

    # -- what is broken ------------------------------------------------------------------------

    @property
    def _kept(self) -> Path:
        return self._folder.with_name(f"{self._folder.name}-kept")

    def _away(self) -> None:
        self._folder.rename(self._kept)

    def _back(self) -> None:
        self._kept.rename(self._folder)

    def _wipe(self) -> None:
        """Its folders stay, empty; a copy was made before, and more was written since."""
        self._repairing(time.time_ns() // 1000)
        shutil.copytree(self._folder, self._kept, ignore=shutil.ignore_patterns(".tmp"))
        self._broken = time.monotonic()
        self._acknowledging()
        self._repairing(time.time_ns() // 1000)  # what it alone held would be lost with it
        self._broken = time.monotonic()
        lost = self._set_aside()
        self._folder.mkdir()
        for folder in lost.iterdir():
            (self._folder / folder.name).mkdir()
        shutil.rmtree(lost, ignore_errors=True)

    def _restore(self) -> None:
        shutil.rmtree(self._set_aside(), ignore_errors=True)
        self._kept.rename(self._folder)

    def _set_aside(self) -> Path:
        """At once, since a server writes to it; what it still writes then goes with the rest."""
        lost = self._folder.with_name(f"{self._folder.name}-{time.monotonic_ns()}")
        return self._folder.rename(lost)

    def _rot(self) -> None:
        segments = sorted(self._folder.glob("evidence/ev/seg/*/*/*.zst"))
        chosen = random.choice(segments)  # noqa: S311 - any one will do
        data = bytearray(chosen.read_bytes())
        data[len(data) // 2] ^= 1
        chosen.write_bytes(data)
        self._server.end()
        shutil.rmtree(self._server.data / "cache", ignore_errors=True)
        self._server.start()

    def _kill(self) -> None:
        self._server.end()
        self._server.start()

    def _delete_cache(self) -> None:
        shutil.rmtree(self._server.data / "cache", ignore_errors=True)

    def _lose_a_node(self) -> None:
        other = self._made.serve("two")
        sender = self._made.send_to(other)
        sender.wait_for_acknowledgement(self._broken, PATIENCE_SECONDS)
        self._broken = time.monotonic()
        other.end()
        sender.close()
        shutil.rmtree(other.data, ignore_errors=True)


def _rounded(trial: dict[str, Any]) -> dict[str, Any]:
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in trial.items()}


def _introduce(made: Scratch) -> None:
    count, quorum = len(made.regions), made.settings.quorum
    printer.announce(
        f"a scratch trail: {count} regions, {quorum} must hold an event; the real ones stay as "
        "they are"
    )
    for key, value in made.shortened.items():
        printer.announce(f"shortened for the drill: {key} = {value}")


def _line(trial: Trial) -> str:
    parts = (
        ("acknowledging after", trial.acknowledging_s),
        ("searched in", trial.searching_s),
        ("complete again after", trial.caught_up_s),
        ("all regions alike after", trial.repaired_s),
    )
    told = ", ".join(f"{what} {value:.1f} s" for what, value in parts if value is not None)
    state = "survived" if trial.survived else "CHANGED" if trial.is_changed else "NOT IN TIME"
    why = f"; {printer.safe(trial.why)}" if trial.why else ""
    return f"{state}: {trial.did}: {told}{why}"


def _conclude(trials: list[Trial], acknowledged: int, seconds: float) -> None:
    survived = sum(trial.survived for trial in trials)
    printer.line(
        f"{survived} of {len(trials)} survived; {acknowledged} events were acknowledged meanwhile; "
        f"{seconds:.0f} s"
    )

"""Between the processes of one server: writers enter here what they sealed, before they answer.

    writer: seal -> send to the regions -> Doorway.enter ─┐      (asked again until it is answered)
                                                          ├─ a socket below the data directory
    reading process: Entrance ── Reader.enter_arrival <───┘
    writer: counted in W regions and entered -> acknowledge

So whichever worker answers the next search finds what any of them acknowledged. What is lost when a
process is killed just before a step, and just after it:

writer, enter       before: nothing was acknowledged; its next start closes the epoch from what the
                    regions hold. After: the same; searches may see the segment, above the
                    watermark, until that close keeps it or makes it an orphan.
writer, answer      before: the client was told nothing and sends again; what is stored twice under
                    one id is shown once. After: nothing.
reading, enter      before: the writer asks again until it is back, and answers then. After: the
                    segment is in the catalog, on disk; to enter it again changes nothing.
reading, a search   before: the question waits until it is back, or its worker answers 503. After:
                    nothing.
who started both    all end at once, as a single server does that is killed.

A reading process that stays away longer than `PATIENCE_SECONDS` is not waited for: the regions hold
the event, nobody answers searches, and the first pass of whoever does so next fetches it; until
then the watermark waits for it. So a reader that cannot start keeps no event from being kept.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, fromfd
from typing import Final

import msgspec
from msgspec import Struct, structs

from holdfast.errors import HoldfastError
from holdfast.model import Contents, JsonObject, NodeId
from holdfast.proof.names import SegmentName
from holdfast.read.arrival import Arrival
from holdfast.read.decode import SegmentFacts, facts_of
from holdfast.read.reader import Reader
from holdfast.regions.clock import ClockInterval
from holdfast.watch.channels import Store
from holdfast.watch.standing import IngestMetrics, WriterReport
from holdfast.write.node import NodeReport

PATIENCE_SECONDS: Final = 10.0
AGAIN_SECONDS: Final = 0.1
TELL_SECONDS: Final = 1.0
TOLD_WITHIN_SECONDS: Final = 5.0
GIVEN_SECONDS: Final = 10.0  # who was asked to store an event, and has not yet, may have died
FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
READ_AHEAD_BYTES: Final = 1024 * 1024
_SIZE_BYTES: Final = 4

log: Final = logging.getLogger("holdfast.serve")


class Sealed(Struct, frozen=True, tag=True, array_like=True):
    """A segment to enter. facts: what the catalog keeps of it, which the writer has at hand."""

    node: NodeId
    name: str
    data: bytes
    facts: SegmentFacts


class Told(Struct, frozen=True, tag=True, array_like=True):
    """How a writer stands. clocks, birth: as its node has them. stored: ids of the trail's own
    events that it was asked to store, and that are acknowledged."""

    report: WriterReport
    clocks: dict[str, ClockInterval]
    birth: tuple[str, bytes] | None
    stored: tuple[str, ...] = ()


class Letter(Struct):
    """An event that a writer is to store. given_at: when one was asked to, by the loop's time."""

    event: JsonObject
    stored: asyncio.Future[None]
    given_at: float = -math.inf


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Sealed | Told).decode
_events: Final = msgspec.msgpack.Decoder(tuple[JsonObject, ...]).decode


class Entrance:
    """In the reading process. Knows of the writers what they told last; see `wiring.Elsewhere`."""

    def __init__(self, count: int) -> None:
        """count: of the writers that there are to be."""
        self._told: dict[int, tuple[Told, float]] = {}
        self._count = count
        self._letters: dict[str, Letter] = {}
        self._news = asyncio.Event()

    @asynccontextmanager
    async def listening(self, file: int, reader: Reader) -> AsyncIterator[None]:
        """Let writers in meanwhile, at an open socket; `reader` is open too."""

        async def talk(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
            try:
                await self._talk(incoming, outgoing, reader)
            except asyncio.IncompleteReadError:
                pass  # it hung up
            except (OSError, msgspec.MsgspecError) as error:
                log.error("a writer cannot be understood: %s", error)
            finally:
                outgoing.close()

        at = fromfd(file, AF_UNIX, SOCK_STREAM)
        server = await asyncio.start_unix_server(talk, sock=at, limit=READ_AHEAD_BYTES)
        try:
            yield
        finally:
            server.close()

    async def _talk(
        self, incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter, reader: Reader
    ) -> None:
        """Answer whatever one writer says, until it hangs up."""
        told: Told | None = None
        try:
            while True:
                said = _decode(await _read(incoming))
                wanted: tuple[JsonObject, ...] = ()
                if isinstance(said, Sealed):
                    await reader.enter_arrival(_arrival(said))
                else:
                    told = said
                    self._told[told.report.worker] = told, asyncio.get_running_loop().time()
                    self._news.set()
                    wanted = self._wanted(told)
                outgoing.write(_framed(_encode(wanted)))
                await outgoing.drain()
        finally:
            if told is not None and self._told[told.report.worker][0] is told:
                self._told[told.report.worker] = told, -math.inf  # not that it came back meanwhile

    async def store(self, event: JsonObject) -> None:
        """Have a writer store an event of the trail's own; ends once it is acknowledged. Which one
        does, and whether another did before it died, makes no difference: it has an id."""
        letter = Letter(event, asyncio.get_running_loop().create_future())
        self._letters[event["id"]] = letter
        try:
            await letter.stored
        finally:
            self._letters.pop(event["id"], None)

    def _wanted(self, told: Told) -> tuple[JsonObject, ...]:
        """What a writer is asked to store now; what it has stored is taken note of."""
        for id in told.stored:
            letter = self._letters.get(id)
            if letter is not None and not letter.stored.done():
                letter.stored.set_result(None)
        now = asyncio.get_running_loop().time()
        if told.report.node.state != "open":
            return ()
        due = [each for each in self._letters.values() if now - each.given_at > GIVEN_SECONDS]
        for letter in due:
            letter.given_at = now
        return tuple(each.event for each in due if not each.stored.done())

    def reports(self) -> tuple[WriterReport, ...]:
        """How each writer stands, in the order of their numbers."""
        return tuple(self._report(number) for number in range(self._count))

    async def ready(self) -> None:
        """Wait until a node has an epoch."""
        while self.birth() is None:
            self._news.clear()
            await self._news.wait()

    def birth(self) -> tuple[str, bytes] | None:
        """Key and bytes of the birth of an epoch that is open; None while none is."""
        return next((told.birth for told in self._fresh() if told.birth is not None), None)

    def clocks(self) -> Mapping[str, ClockInterval]:
        """How far each region's clock is from this machine's."""
        return {id: clock for told in self._fresh() for id, clock in told.clocks.items()}

    def open_nodes(self) -> Mapping[int, NodeId]:
        """Which nodes have an epoch, by the numbers of their directories."""
        reports = [told.report for told in self._fresh()]
        return {each.worker: each.node.node for each in reports if each.node.state == "open"}

    def _fresh(self) -> list[Told]:
        since = asyncio.get_running_loop().time() - TOLD_WITHIN_SECONDS
        return [told for told, at in self._told.values() if at > since]

    def _report(self, number: int) -> WriterReport:
        if number not in self._told:
            return WriterReport(number, _UNSEEN, IngestMetrics())
        told, at = self._told[number]
        if at > asyncio.get_running_loop().time() - TOLD_WITHIN_SECONDS:
            return told.report
        node = structs.replace(told.report.node, state="starting", why="its process is away")
        return structs.replace(told.report, node=node)


class Doorway:
    """In a writer: the way to the reading process."""

    def __init__(self, path: Path, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._path = path
        self._patience_seconds = patience_seconds
        self._turn = asyncio.Lock()  # one question at a time, each with its answer
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._is_away = False
        self._stored: list[str] = []
        self._storing: set[asyncio.Task[None]] = set()

    async def enter(self, node: NodeId, name: SegmentName, data: bytes, contents: Contents) -> None:
        """See `Epoch`: awaited before the acknowledgement, and never raises."""
        try:
            known = await asyncio.to_thread(facts_of, contents)
            await self._say(Sealed(node, name.text, data, known))
        except Exception:
            log.exception("segment %d of the own node was not entered", name.index)

    async def tell_forever(self, how: Callable[[], Told], store: Store) -> None:
        """Say how this process stands, every second; so a reading process that is back is seen.

        store: what is asked for in answer to that; ends once an event is acknowledged.
        """
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
                async with asyncio.timeout(self._patience_seconds):
                    stored = tuple(self._stored)
                    wanted = _events(await self._ask(structs.replace(how(), stored=stored)))
                    del self._stored[: len(stored)]
                for event in wanted:
                    task = asyncio.create_task(self._store(event, store))
                    self._storing.add(task)
                    task.add_done_callback(self._storing.discard)
            await asyncio.sleep(TELL_SECONDS)

    async def _store(self, event: JsonObject, store: Store) -> None:
        """Who asked for it asks again, perhaps another writer, until one says that it is done."""
        try:
            await store(event)
        except HoldfastError as error:
            log.warning("an event of the trail's own is not stored yet: %s", error)
        else:
            self._stored.append(event["id"])

    async def _say(self, what: Sealed) -> None:
        """Until it was heard, or the reading process is away for too long."""
        if self._is_away:
            return
        try:
            async with asyncio.timeout(self._patience_seconds):
                while True:
                    try:
                        await self._ask(what)
                        return
                    except (OSError, asyncio.IncompleteReadError):
                        await asyncio.sleep(AGAIN_SECONDS)
        except TimeoutError:
            self._is_away = True
            log.error("the reading process does not answer: events are acknowledged without it")

    async def _ask(self, what: Sealed | Told) -> bytes:
        async with self._turn:
            try:
                incoming, outgoing = self._streams or await self._connect()
                outgoing.write(_frame(what))
                await outgoing.drain()
                answer = await _read(incoming)
            except BaseException:  # cancelled too: the answer to this may still be on its way
                self.close()
                raise
            if self._is_away:
                self._is_away = False
                log.info("the reading process answers again")
            return answer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_unix_connection(str(self._path))
        return self._streams

    def close(self) -> None:
        """Hang up; the next question opens another connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


_UNSEEN: Final = NodeReport(
    node="",
    epoch=0,
    state="starting",
    why="its process has not told yet",
    size=0,
    events_count=0,
    waiting_events=0,
    waiting_bytes=0,
    waiting_segments=0,
    promise_us=0,
    last_acknowledged_us=0,
    regions=(),
)


def _arrival(said: Sealed) -> Arrival:
    return Arrival(said.node, SegmentName.parse(said.name), said.facts, data=said.data)


def _frame(what: Sealed | Told) -> bytes:
    return _framed(_encode(what))


def _framed(body: bytes) -> bytes:
    return len(body).to_bytes(_SIZE_BYTES, "big") + body


async def _read(incoming: asyncio.StreamReader) -> bytes:
    size_bytes = int.from_bytes(await incoming.readexactly(_SIZE_BYTES), "big")
    if size_bytes > FRAME_BYTES_MAX:
        raise ConnectionError(f"{size_bytes} bytes at once")
    return await incoming.readexactly(size_bytes)

"""Answers straight from the regions, with no server alive.

The same reader as the server's, for one command's time: it looks at every region, fetches what it
does not know yet, and answers. Its event loop has a thread of its own, so that a verb reads from
top to bottom whether a server answers it or the regions do.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from holdfast.cli.place import settings_of
from holdfast.cli.source import Parameters
from holdfast.serve import alerts, answers, checkpoints, parameters, retention, status
from holdfast.serve.export import asked_of
from holdfast.wiring import System, open_system

Kind = TypeVar("Kind")
Result = TypeVar("Result")


class Opened:
    """A system that only reads, alive on its own thread's event loop."""

    def __init__(self, system: System, loop: asyncio.AbstractEventLoop) -> None:
        self.system = system
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run it there and wait for it here."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextmanager
def opened(data: Path | None, config: Path | None) -> Iterator[Opened]:
    """The regions of these settings, opened for reading and closed at the end.

    Raises:
        RejectedError: the settings, or what they name, are wrong.
        UnavailableError: too few regions answer.
    """
    settings = settings_of(data, config)
    ready: Future[tuple[System, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def live() -> None:
        try:
            async with open_system(settings, write=False) as system:
                ended = asyncio.Event()
                if ready.set_running_or_notify_cancel():
                    ready.set_result((system, asyncio.get_running_loop(), ended))
                    await ended.wait()
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(live()), name="regions", daemon=True)
    thread.start()
    try:
        system, loop, ended = ready.result()
    except KeyboardInterrupt:
        ready.cancel()  # regions that hang are not waited for: it ends by itself, or with us
        raise
    except BaseException:
        thread.join()
        raise
    try:
        yield Opened(system, loop)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()


@contextmanager
def open_regions(
    data: Path | None, config: Path | None, *, events: bool = True
) -> Iterator["RegionsSource"]:
    """A source that reads these regions; it has looked at all of them once, if events are asked
    for."""
    with opened(data, config) as found:
        if events:
            found.run(found.system.reader.pass_once())
        yield RegionsSource(found)


class RegionsSource:
    """See the module; `source.Source` says what is answered, `serve.api` answers the same."""

    def __init__(self, found: Opened) -> None:
        self._run = found.run
        self._system = found.system
        self._reader = found.system.reader

    def search(self, asked: Parameters) -> bytes:
        query = parameters.query_of(_values(asked, parameters.SEARCH))

        async def ask() -> bytes:
            said = self._reader.completeness()
            page = await self._reader.search(query)
            return answers.write(answers.search_answer(page, said))

        return self._run(ask())

    def count(self, asked: Parameters) -> bytes:
        wanted = parameters.counting_of(_values(asked, parameters.COUNT))

        async def ask() -> bytes:
            said = self._reader.completeness()
            counts = await self._reader.count(wanted.query, wanted.by, wanted.bucket_us)
            return answers.write(answers.count_answer(wanted.by, counts, said))

        return self._run(ask())

    def show(self, id: str, asked: Parameters) -> bytes:
        assert id, "no id would be every id"
        tenant = parameters.query_of(_values(asked, parameters.EVENT)).tenant

        async def ask() -> bytes:
            said = self._reader.completeness()
            return answers.write(answers.event_answer(await self._reader.event(tenant, id), said))

        return self._run(ask())

    def proof(self, id: str, asked: Parameters) -> bytes:
        which = parameters.proving_of(_values(asked, parameters.PROOF))
        prover = self._system.prover
        return self._run(prover.event(which.tenant, id, which.node, which.position))

    def certificate(self, asked: Parameters) -> Iterator[bytes]:
        wanted = parameters.certifying_of(_values(asked, parameters.CERTIFICATE))
        return self._drained(self._system.prover.certifier.certificate(*wanted))

    def hand_to(self, executor: Executor, at_once: int) -> None:
        self._system.prover.hand_to(executor, at_once)

    def export(self, asked: Parameters) -> Iterator[bytes]:
        wanted = parameters.exporting_of(_values(asked, parameters.EXPORT_ALL))
        return self._drained(self._system.prover.exporter.file(*asked_of(wanted)))

    def receipt(self, asked: Parameters) -> bytes:
        wanted = parameters.exporting_of(_values(asked, parameters.RECEIPT))
        return self._run(self._system.prover.exporter.receipt(*asked_of(wanted)[:2]))

    def _drained(self, coming: AsyncGenerator[bytes]) -> Iterator[bytes]:
        try:
            while (piece := self._run(_next(coming))) is not None:
                yield piece
        finally:
            self._run(coming.aclose())

    def completeness(self) -> bytes:
        async def ask() -> bytes:
            return answers.write(answers.completeness_answer(self._reader.completeness()))

        return self._run(ask())

    def status(self) -> bytes:
        async def ask() -> bytes:
            return answers.write(status.status_answer(self._system))

        return self._run(ask())

    def follow(self) -> None:
        self._run(self._reader.start())

    def checkpoints(self) -> bytes:
        async def ask() -> bytes:
            look = await self._system.checkpoints.look()
            return answers.write(checkpoints.checkpoints_answer(self._system, look))

        return self._run(ask())

    def consistency(self, asked: Parameters) -> bytes:
        wanted = _values(asked, parameters.CONSISTENCY)

        async def ask() -> bytes:
            return answers.write(await checkpoints.consistency_answer(self._system, wanted))

        return self._run(ask())

    def holds(self) -> bytes:
        found = self._run(self._system.retention.holds.all())
        return answers.write(retention.holds_answer(found))

    def hold(self, wanted: Mapping[str, Any]) -> bytes:
        asked = retention.wanted_of(_asked(wanted, retention.HoldWanted), "")
        found = self._run(self._system.retention.holds.place(asked))
        return answers.write(retention.hold_shape(found))

    def release(self, id: str, wanted: Mapping[str, Any]) -> bytes:
        asked = _asked(wanted, retention.ReleaseWanted)
        found = self._run(self._system.retention.holds.release(id, asked.reason, asked.author))
        return answers.write(retention.hold_shape(found))

    def retention(self) -> bytes:
        report = self._run(self._system.retention.plan())
        return answers.write(retention.retention_answer(report, self._system.settings.retention))

    def expire(self, wanted: Mapping[str, Any]) -> bytes:
        only = retention.only_of(_asked(wanted, retention.RunWanted))
        report = self._run(self._system.retention.expire(only))
        return answers.write(retention.retention_answer(report, self._system.settings.retention))

    def tail(self, asked: Parameters) -> Iterator[bytes]:
        self.follow()
        found = self._reader.tail(parameters.query_of(_values(asked, parameters.TAIL)))
        while (each := self._run(_next(found))) is not None:
            yield answers.element(each)


def _asked(wanted: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """The options, read as the HTTP interface reads a body."""
    return alerts.decoded(msgspec.json.encode(wanted), "application/json", kind)


async def _next(found: AsyncIterator[Result]) -> Result | None:
    return await anext(found, None)


def _values(asked: Parameters, known: tuple[parameters.Parameter, ...]) -> dict[str, Any]:
    """What the options ask for, read by the rules of the HTTP interface."""
    return parameters.parse(urlencode(asked, quote_via=quote).encode(), known)

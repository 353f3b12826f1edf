"""Worker processes that read and judge segments, each over regions that it opened for itself."""

import asyncio
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from holdfast.read.compute import Renewing, begin_work
from holdfast.regions import Regions
from holdfast.settings import Settings
from holdfast.verify.batch import Batch, Done, check_batch


@dataclass(frozen=True, slots=True)
class _Worker:
    """What a worker process keeps from one batch to the next."""

    loop: asyncio.AbstractEventLoop
    regions: Regions
    closing: ExitStack


_worker: list[_Worker] = []  # of this process, if it is one


class Workers:
    """A crew of processes; they start with the first batch. A batch that kills its worker is done
    once more by another."""

    def __init__(self, settings: Settings, jobs: int) -> None:
        self.at_once = jobs
        spawn = multiprocessing.get_context("spawn")
        self._pool = Renewing(
            lambda: ProcessPoolExecutor(jobs, spawn, initializer=_begin, initargs=(settings,))
        )

    async def do(self, batch: Batch) -> Done:
        return await asyncio.wrap_future(self._pool.submit(_do, batch))

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _begin(settings: Settings) -> None:
    from holdfast.wiring import PATIENT, real_regions

    begin_work(0)
    closing = ExitStack()
    regions = closing.enter_context(real_regions(settings, PATIENT))
    _worker.append(_Worker(asyncio.new_event_loop(), regions, closing))


def _do(batch: Batch) -> Done:
    worker = _worker[0]
    return worker.loop.run_until_complete(check_batch(worker.regions, batch))

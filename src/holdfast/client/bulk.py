"""Send very many events: in batches, a bounded number of them at once, none of them lost.

A batch that the server refuses is sent again without the lines that it named, or in two halves
where it named none, until every event is either acknowledged or refused by itself.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from holdfast.client.client import Client
from holdfast.client.errors import ABOUT_EVENTS, ClientError, RefusedError


@dataclass(frozen=True)
class Outgoing:
    """An event on its way. line: JSON with an `id`. where: it came from, for people ("a.gz:7")."""

    line: bytes
    where: str


@dataclass(frozen=True)
class Refusal:
    """An event that will never be taken, and why."""

    where: str
    reason: str


@dataclass(frozen=True)
class Delivered:
    """What became of a batch. left: the first event that is neither; cause: and why."""

    acknowledged: int
    refusals: tuple[Refusal, ...] = ()
    left: str = ""
    cause: ClientError | None = None


class CutShortError(ClientError):
    """It ended before every event was acknowledged or refused; what is left may be sent again.

    where: an event that is neither.
    """

    def __init__(self, where: str, cause: ClientError) -> None:
        super().__init__(f"stopped at {where}: {cause}")
        self.where = where
        self.cause = cause


@dataclass(frozen=True)
class BulkLimits:
    """events_max, bytes_max: of a batch. parallel: batches under way at once."""

    events_max: int = 1_000
    bytes_max: int = 2 * 1024 * 1024
    parallel: int = 4


def send_all(
    client: Client,
    events: Iterable[Outgoing],
    limits: BulkLimits,
    report: Callable[[Delivered], None],
) -> None:
    """Send everything; `report` is called, in this thread, whenever a batch has come to its end.

    `events` is read as far ahead as `limits.parallel` batches.

    Raises:
        CutShortError: the server went away for too long, or wants no events from us at all.
            What was acknowledged until then has been reported.
    """
    waiting: set[Future[Delivered]] = set()
    cut_short: Delivered | None = None
    with ThreadPoolExecutor(limits.parallel, thread_name_prefix="send") as pool:
        try:
            for batch in batches(events, limits):
                waiting.add(pool.submit(deliver, client, batch))
                if len(waiting) >= limits.parallel:
                    cut_short = _collect(waiting, report)
                if cut_short:
                    break
            while waiting:
                cut_short = _collect(waiting, report) or cut_short
        except BaseException:
            client.give_up()
            raise
    if cut_short and cut_short.cause:
        raise CutShortError(cut_short.left, cut_short.cause)


def _collect(
    waiting: set[Future[Delivered]], report: Callable[[Delivered], None]
) -> Delivered | None:
    """Wait for at least one batch and report it; returns one that was cut short."""
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    waiting -= done
    delivered = [future.result() for future in done]
    for each in delivered:
        report(each)
    return next((each for each in delivered if each.cause), None)


def batches(events: Iterable[Outgoing], limits: BulkLimits) -> Iterator[Sequence[Outgoing]]:
    """Cut a stream of events into batches within the limits; an event is never cut."""
    batch: list[Outgoing] = []
    size_bytes = 0
    for event in events:
        line_bytes = len(event.line) + 1
        full = len(batch) >= limits.events_max or size_bytes + line_bytes > limits.bytes_max
        if batch and full:
            yield batch
            batch, size_bytes = [], 0
        batch.append(event)
        size_bytes += line_bytes
    if batch:
        yield batch


def deliver(client: Client, batch: Sequence[Outgoing]) -> Delivered:
    """Send a batch until each of its events is acknowledged or refused, or the patience is over."""
    acknowledged = 0
    refusals: list[Refusal] = []
    pending = [batch]
    while pending:
        current = pending.pop()
        try:
            acknowledged += len(client.send([event.line for event in current]).ids)
        except ClientError as error:
            if not isinstance(error, RefusedError) or error.kind not in ABOUT_EVENTS:
                return Delivered(acknowledged, tuple(refusals), current[0].where, error)
            found, again = plan_after_refusal(current, error)
            refusals += found
            pending += again
    return Delivered(acknowledged, tuple(refusals))


def plan_after_refusal(
    batch: Sequence[Outgoing], error: RefusedError
) -> tuple[tuple[Refusal, ...], tuple[Sequence[Outgoing], ...]]:
    """What of a refused batch is lost for good, and what to send again. Pure.

    Each step leaves less to send, so it comes to an end.
    """
    reasons = {
        fault.line - 1: str(fault)
        for fault in reversed(error.faults)
        if 1 <= fault.line <= len(batch)
    }
    if not reasons and len(batch) > 1:
        middle = len(batch) // 2
        return (), (batch[middle:], batch[:middle])
    if not reasons:
        reasons = {0: str(error)}
    lost = tuple(Refusal(batch[index].where, reason) for index, reason in sorted(reasons.items()))
    rest = [event for index, event in enumerate(batch) if index not in reasons]
    return lost, (rest,) if rest else ()

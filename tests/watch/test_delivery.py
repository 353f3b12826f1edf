"""Messages arrive in order, once a channel takes them, whatever it does before."""

import asyncio
from collections.abc import Sequence

from holdfast.errors import Problem, RejectedError, UnavailableError
from holdfast.watch.alerts import Alert
from holdfast.watch.delivery import OLD_US, WAITING_MAX, Courier, Hears, Message
from tests.watch.test_alerts import START_US
from tests.world import VirtualTime, run_with_time

ALERT = Alert(
    key="lag:b",
    kind="lag",
    subject="b",
    summary="late",
    since_us=START_US,
    seen_us=START_US,
    opened_us=START_US,
    told_us=START_US,
)


class Way:
    """A channel in a small world: it takes what comes, once it was asked so often in vain."""

    name = "way"
    wants_silences = True

    def __init__(self, *fails: Exception, hangs: int = 0, hears: Hears = "messages") -> None:
        self.hears = hears
        self.took: list[int] = []
        self.tries = 0
        self.refreshed: list[tuple[Alert, ...]] = []
        self._fails = list(fails)
        self._hangs = hangs

    async def deliver(self, message: Message) -> None:
        self.tries += 1
        if self._hangs:
            self._hangs -= 1
            await asyncio.sleep(1e6)
        if self._fails:
            raise self._fails.pop(0)
        self.took.append(message.at_us)

    async def refresh(self, alerts: Sequence[Alert]) -> None:
        self.refreshed.append(tuple(alerts))


async def deliver(time: VirtualTime, way: Way, seconds: float, *at_us: int) -> Courier:
    """Run a courier for so long, with messages of these times."""

    async def keep() -> None:
        kept.append(courier.waiting)

    kept: list[Sequence[Message]] = []
    courier = Courier(way, lambda: START_US + int(time.now * 1e6), lambda: (ALERT,), keep)
    for each in at_us:
        courier.send(Message("opened", each, alert=ALERT))
    running = asyncio.create_task(courier.run_forever())
    await asyncio.sleep(seconds)
    running.cancel()
    assert not kept or kept[-1] == courier.waiting
    return courier


def run(way: Way, seconds: float, *at_us: int) -> Courier:
    return run_with_time(lambda time: deliver(time, way, seconds, *at_us))


def test_what_is_taken_is_sent_once_and_in_order() -> None:
    way = Way()

    courier = run(way, 10, START_US, START_US + 1, START_US + 2)

    assert way.took == [START_US, START_US + 1, START_US + 2]
    assert (courier.report().waiting, courier.report().delivered) == (0, 3)


def test_what_fails_is_tried_again_and_the_report_says_since_when_and_why() -> None:
    way = Way(*[OSError("refused")] * 3)

    during = run(way, 5, START_US, START_US + 1)

    assert way.took == []
    report = during.report()
    assert (report.waiting, report.why, report.failing_us) == (2, "refused", START_US)


def test_it_goes_on_where_it_stood_once_the_channel_answers() -> None:
    way = Way(OSError("refused"), UnavailableError("no quorum"), ValueError("of its library"))

    courier = run(way, 60, START_US, START_US + 1)

    assert way.took == [START_US, START_US + 1]
    assert (courier.report().failing_us, courier.report().why) == (0, "")


def test_a_channel_that_hangs_is_given_up_and_tried_again() -> None:
    way = Way(hangs=1)

    courier = run(way, 60, START_US)

    assert way.took == [START_US]
    assert courier.report().delivered == 1


def test_pauses_grow_to_a_minute() -> None:
    way = Way(*[OSError("refused")] * 10_000)

    run(way, 3600, START_US)

    assert 60 <= way.tries <= 70


def test_what_never_will_be_taken_holds_nothing_up() -> None:
    way = Way(RejectedError("x", Problem(0, "", "bad")))

    courier = run(way, 10, START_US, START_US + 1)

    assert way.took == [START_US + 1]
    assert (courier.report().dropped, courier.report().failing_us) == (1, 0)


def test_what_is_older_than_a_day_is_no_news_but_to_who_keeps_a_record() -> None:
    people, record = Way(), Way(hears="changes")

    run(people, 10, START_US - OLD_US - 1, START_US)
    run(record, 10, START_US - OLD_US - 1, START_US)

    assert people.took == [START_US]
    assert len(record.took) == 2


def test_of_too_many_the_oldest_go() -> None:
    way = Way()

    courier = run(way, 10, *range(START_US, START_US + WAITING_MAX + 3))

    assert way.took[0] == START_US + 3
    assert courier.report().dropped == 3


def test_what_is_open_is_said_again_every_minute() -> None:
    way = Way()

    run(way, 185)

    assert way.refreshed == [(ALERT,)] * 3

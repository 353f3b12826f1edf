"""The integrity page's questions, and a verification as a page or as messages.

None of the questions holds up the others: each has its time, and what did not come is said.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final

import msgspec

from holdfast.errors import HoldfastError
from holdfast.keep.roster import look_for_nodes
from holdfast.serve.console.asking import in_time
from holdfast.serve.console.completeness import where_of
from holdfast.serve.console.verifying import Progress, Verifier
from holdfast.serve.faces import Faces
from holdfast.serve.parameters import Value
from holdfast.serve.status import standing_of
from holdfast.serve.ui import verified, verifying
from holdfast.serve.ui.heat import DAYS
from holdfast.serve.ui.html import Markup
from holdfast.serve.ui.integrity import IntegrityView
from holdfast.serve.ui.verified import Verified
from holdfast.serve.ui.words import DAY_US, Frame
from holdfast.verify.findings import Report
from holdfast.verify.run import Question

LOOK_SECONDS: Final = 3.0
ALIVE_SECONDS: Final = 5.0  # whoever is in between, and the page, hear of it at least so often
RETRY: Final = b"retry: 86400000\n\n"  # a browser that lost it is not to begin another one


async def look(faces: Faces, frame: Frame, url: str, last: Verified | None) -> IntegrityView:
    """The page. url: how this server was called. last: the last verification."""
    system = faces.system
    standing = standing_of(system, faces.writers())
    look, members, hours = await asyncio.gather(
        in_time(LOOK_SECONDS, system.checkpoints.look()),
        in_time(LOOK_SECONDS, look_for_nodes(system.regions)),
        faces.history.hours(frame.now_us - DAYS * DAY_US, frame.now_us),
    )
    reports = [each.witnesses for each in standing.writers if each.witnesses is not None]
    return IntegrityView(
        frame=frame,
        hours=hours,
        survey=standing.reconciled,
        scrub=standing.scrubbed,
        corrupt=standing.reader.corrupt,
        look=look,
        members=members,
        witnesses=reports[0] if reports else None,
        scrub_period_days=system.settings.scrub_period_days,
        where=where_of(system.settings),
        url=url,
        verified=last,
    )


# -- a verification ------------------------------------------------------------------------------


def question_of(values: Mapping[str, Value]) -> Question:
    """What the form, or the address, asks for."""
    from_us, to_us = values.get("from_us"), values.get("to_us")
    return Question(
        depth=values.get("depth", "names"),  # type: ignore[arg-type]  # one of its words
        from_us=from_us if isinstance(from_us, int) else None,
        to_us=to_us if isinstance(to_us, int) else None,
    )


def asked_in_words(question: Question) -> str:
    """The question, for a person."""
    return f"Checks {verified.reach(question.depth, question.from_us, question.to_us)}"


async def as_page(frame: Frame, verifier: Verifier, question: Question) -> AsyncIterator[bytes]:
    """The page, as it comes; closed when its reader leaves, which ends the verification."""
    before, after = verifying.page(frame, asked_in_words(question))
    yield before
    async with aclosing(_pieces(frame, verifier, question)) as pieces:
        async for said in pieces:
            if isinstance(said, Progress):
                yield verifying.progress(said.done, said.total).encode()
            else:
                yield said.encode()
    yield after


async def as_messages(frame: Frame, verifier: Verifier, question: Question) -> AsyncIterator[bytes]:
    """The same as server-sent events: `progress` again and again, then `done` with markup."""
    yield RETRY
    async with aclosing(_pieces(frame, verifier, question)) as pieces:
        async for said in pieces:
            if isinstance(said, Progress):
                told = {"done": said.done, "total": said.total}
                data = {**told, "words": verifying.words(said.done, said.total)}
                yield b"event: progress\ndata: " + msgspec.json.encode(data) + b"\n\n"
            else:
                yield b"event: done\ndata: " + msgspec.json.encode(str(said)) + b"\n\n"


async def _pieces(
    frame: Frame, verifier: Verifier, question: Question
) -> AsyncGenerator[Progress | Markup, None]:
    """Progress, at least every few seconds, then what it came to."""
    last = Progress(0, 0)
    yield last
    try:
        async with aclosing(verifier.run(question)) as coming:
            step = asyncio.ensure_future(anext(coming))
            try:
                while True:
                    await asyncio.wait((step,), timeout=ALIVE_SECONDS)
                    if not step.done():
                        yield last
                        continue
                    said = step.result()
                    if isinstance(said, Report):
                        of = Verified(said, question.from_us, question.to_us)
                        yield verified.fragment(of, frame.now_us)
                        return
                    last = said
                    yield last
                    step = asyncio.ensure_future(anext(coming))
            finally:
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
    except HoldfastError as error:
        yield verifying.problem(str(error))

"""One wrong answer of one store takes nothing that must stay.

These noticed, each, that a check was left out: that two looks agree on what is left over, that what
stays of a class is read back, that an archive is before its segments go, that holds are looked for.
`make lies` tries others.
"""

import asyncio
from pathlib import Path

from tests.retention.lies import Lie, Stage, by_hours

BITING = (
    Lie(1, 2, "b", "list", 4, False),
    Lie(1798849289, 2, "b", "create", 1, False),
    Lie(3557043254, 1, "b", "rot", 1, False),
    Lie(1596840319, 2, "a", "read", 12, True),
)


def test_nothing_goes_by_one_lie(tmp_path: Path) -> None:
    async def story() -> list[tuple[list[str], str]]:
        stage = Stage(tmp_path)
        await stage.set_up()
        return [await stage.play(lie) for lie in BITING]

    with by_hours():
        found = asyncio.run(story())

    assert all(told for _, told in found)
    assert [problems for problems, _ in found] == [[]] * len(BITING)

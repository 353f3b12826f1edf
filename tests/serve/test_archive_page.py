"""The page of the archive: each day by region, and what somebody must see to."""

from typing import Any

import msgspec

from holdfast.archive.archivist import ArchiveReport, Archiving
from holdfast.archive.shelves import Shelf, Shelves
from holdfast.archive.sweep import SweepReport, Swept
from holdfast.restore.bring import Brought
from holdfast.restore.choice import Tried
from holdfast.restore.restorer import HOUR_US, Restored, RestoreReport
from holdfast.serve.ui import archive
from holdfast.serve.ui.archive import (
    ArchiveView,
    came_back_cells,
    kept_cells,
    standing,
    wrong,
)
from holdfast.serve.ui.calendar import MONTHS_MAX, Cell, calendar
from holdfast.serve.ui.words import DAY_US
from tests.serve.test_html import Reader, read
from tests.serve.test_page import EVIL, NOW, frame

DAYS = ("2023-07-07", "2023-07-08", "2023-07-09", "2023-07-10")
WHOLE = Shelf(frozenset({DAYS[0], DAYS[2]}), size_bytes=3_000)
NONE = Shelf(frozenset())
REPORT = ArchiveReport(NOW - 3_000_000, NOW - 1_000_000, 2, (), "2023-07-10 is due later", "")


def view(**changes: Any) -> ArchiveView:
    plain = ArchiveView(
        frame=frame(),
        days=DAYS,
        shelves=Shelves(NOW - 1_000_000, dict.fromkeys("abc", WHOLE)),
        after_hours=24,
        last=REPORT,
        swept=None,
        restored=RestoreReport(HOUR_US, allowed_us=72 * HOUR_US),
        where="--data /srv/holdfast",
    )
    return msgspec.structs.replace(plain, **changes)


def shelves(**of: Shelf) -> Shelves:
    return Shelves(NOW, dict.fromkeys("abc", WHOLE) | of)


def restored(**tried: Tried) -> RestoreReport:
    places = {id: {DAYS[0]: each} for id, each in tried.items()}
    return RestoreReport(HOUR_US, places=places, allowed_us=72 * HOUR_US)


def seen(page: ArchiveView) -> Reader:
    return read(archive.render(page).decode())


def css(cells: dict[str, Cell]) -> list[str]:
    return [cells[day].css + "!" * cells[day].is_bad for day in DAYS]


def test_equal_archives_are_equal_and_no_more_is_said() -> None:
    assert standing(view()) == ("held", "Every region's archive has the same, whole: 2 days")
    assert "2023-07-10 is due later" in seen(view()).text


def test_what_was_not_looked_at_is_not_the_same_as_nothing() -> None:
    alone = Shelves(NOW, {"a": WHOLE, "b": WHOLE})
    empty = Shelves(NOW, dict.fromkeys("abc", NONE))

    assert standing(view(shelves=None))[0] == "unk"
    assert standing(view(shelves=alone)) == ("unk", "The archive of c could not be looked at")
    assert standing(view(shelves=empty))[0] == "none"
    assert "Which days the trail has is not known yet." in seen(view(days=())).text


def test_a_day_that_did_not_come_back_outweighs_all_else() -> None:
    tried = restored(b=Tried(9, 5, why="ev/arc/x: its bytes do not hash to its name"))
    page = view(restored=tried, shelves=shelves(c=Shelf(frozenset(), frozenset({DAYS[0]}))))

    assert standing(page) == ("down", "1 day could not be restored from b")
    assert "--region b --day 2023-07-07" in seen(page).text
    assert [each.what for each in wrong(page)][:2] == ["failed", "corrupt"]


def test_what_is_corrupt_or_lacking_is_named_by_day() -> None:
    spoilt = view(shelves=shelves(b=Shelf(frozenset({DAYS[2]}), frozenset({DAYS[0]}))))
    rotten = view(rotten={"b": frozenset({DAYS[0]})})
    lacking = view(shelves=shelves(c=Shelf(frozenset({DAYS[2]}))))

    assert standing(spoilt) == standing(rotten) == ("down", "An object is corrupt, of 1 day")
    assert [(each.region, each.day) for each in wrong(spoilt)] == [("b", DAYS[0])]
    assert standing(lacking)[0] == "behind"
    assert [(each.what, each.region, each.day) for each in wrong(lacking)] == [
        ("lacks", "c", DAYS[0])
    ]


def test_the_map_says_how_each_day_is_kept() -> None:
    hours = shelves(a=Shelf(frozenset({f"{DAYS[0]}t01", DAYS[2]}), frozenset({DAYS[2]})))
    page = view(shelves=msgspec.structs.replace(hours, of={**hours.of, "c": WHOLE}))

    assert css(kept_cells(view(), "a")) == ["c3", "no", "c3", "c1"]
    assert css(kept_cells(page, "a")) == ["c2", "no", "c3!", "c1"]
    assert css(kept_cells(view(shelves=shelves(b=NONE)), "b")) == ["u", "no", "u", "c1"]
    assert css(kept_cells(view(shelves=None), "b")) == ["u"] * 4


def test_the_map_says_when_each_day_came_back() -> None:
    tried = {
        DAYS[0]: Tried(NOW, NOW - DAY_US),
        DAYS[1]: Tried(NOW, NOW - 100 * DAY_US),
        DAYS[2]: Tried(NOW, NOW - 300 * DAY_US, why="rotten"),
    }
    page = view(restored=RestoreReport(HOUR_US, places={"a": tried}))

    assert css(came_back_cells(page, "a")) == ["c3", "c2", "c1!", "no"]


def test_a_map_of_many_years_shows_the_newest_months() -> None:
    days = [f"20{year:02d}-{month:02d}-01" for year in range(9) for month in range(1, 13)]

    drawn = read(calendar("a", dict.fromkeys(days, Cell("c3")))).text

    assert "2008-12" in drawn and "2007-01" in drawn and "2006-12" not in drawn
    assert drawn.count("200") == MONTHS_MAX


def test_runs_restores_and_sweeps_are_told_and_stay_text() -> None:
    unit = Archiving(DAYS[0], 10, 100, 1, 5000, ("a",), (("b", EVIL),))
    failed = Restored("b", DAYS[0], DAYS[0], "failed", EVIL, True, NOW - 9, NOW, Brought())
    good = Restored("a", DAYS[2], "segments 1 to 5", "good", "", False, 1, NOW, Brought(5, 41, 900))
    page = seen(
        view(
            last=msgspec.structs.replace(REPORT, units=(unit,), trouble=EVIL),
            restored=RestoreReport(HOUR_US, last=(failed, good)),
            swept=SweepReport(NOW, NOW, (Swept(DAYS[0], "a", 12, 3000, 1, EVIL),), ()),
        )
    )

    assert not {"script", "img"} & {tag for tag, _ in page.tags if tag != "script"}
    assert [a.get("src") for tag, a in page.tags if tag == "script"] == ["/console.js"]
    assert "41 events, 900 B" in page.text and "Archiving stops" in page.text


def test_a_server_that_archives_and_restores_nothing_says_so() -> None:
    page = seen(view(after_hours=0, last=None, restored=RestoreReport())).text

    assert "archives nothing by itself" in page and "restore_drill_hours is 0" in page

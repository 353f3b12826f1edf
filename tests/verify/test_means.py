"""Who reads, what was read before, and what is told meanwhile."""

from pathlib import Path

import pytest
from msgspec import structs

from holdfast.errors import RejectedError
from holdfast.verify.findings import Report
from holdfast.verify.journal import Journal
from holdfast.verify.run import Means, Question
from tests.verify.stores import Counting, Objects, grave, keys_of, verified, written
from tests.write.world import TRAIL

EVENTS = Question(depth="events")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a few segments are many batches, and worth a crew."""
    monkeypatch.setattr("holdfast.verify.batch.SEGMENTS_MAX", 2)
    monkeypatch.setattr("holdfast.verify.run.FEW", 0)


def with_journal(objects: Objects, crew: Counting, file: Path) -> Report:
    with Journal(file, TRAIL.trail) as journal:
        return verified(objects, EVENTS, Means(crew, journal))


def whole(objects: Objects) -> tuple[Report, Counting]:
    """What a run that nothing interrupts says."""
    crew = Counting()
    return verified(objects, EVENTS, Means(crew)), crew


def test_a_crew_reads_every_segment_once_and_progress_is_told() -> None:
    objects, crew, told = written(), Counting(), list[tuple[int, int]]()

    report = verified(objects, EVENTS, Means(crew, progress=lambda *at: told.append(at)))

    read = [target.name for batch in crew.done for target in batch.targets]
    assert sorted(read) == sorted(key.split("/")[4][:189] for key in keys_of(objects, "segment"))
    assert told[-1] == (len(read), len(read)) and len(told) == len(crew.done) > 3
    assert report.verdict == "good" and report.resumed_segments == 0


def test_a_run_that_was_interrupted_goes_on_where_it_was(tmp_path: Path) -> None:
    objects, file = written(), tmp_path / "journal"
    objects["b"][keys_of(objects, "segment")[0]] = b"rotten"
    first, second = Counting(dies_at=3), Counting()
    with pytest.raises(InterruptedError):
        with_journal(objects, first, file)
    with file.open("ab") as torn:
        torn.write(b'{"batch":"0123')

    report = with_journal(objects, second, file)

    straight, crew = whole(objects)
    assert report.resumed_segments > 0
    assert structs.replace(report, resumed_segments=0) == straight
    assert len(second.done) < len(crew.done)


def test_once_it_is_through_nothing_is_read_again_and_the_verdict_stays(tmp_path: Path) -> None:
    objects, file = written(), tmp_path / "journal"
    objects["b"][keys_of(objects, "segment")[0]] = b"rotten"
    once, again = Counting(), Counting()

    first, second = with_journal(objects, once, file), with_journal(objects, again, file)

    assert once.done and not again.done
    assert grave(first) == grave(second) != []
    assert second.resumed_segments == second.deep_segments == first.deep_segments


def test_what_is_named_or_held_otherwise_since_is_read_again(tmp_path: Path) -> None:
    objects, file, again = written(), tmp_path / "journal", Counting()
    with_journal(objects, Counting(), file)
    key = keys_of(objects, "segment")[4]
    del objects["c"][key]

    report = with_journal(objects, again, file)

    (batch,) = again.done
    assert key.split("/")[4][:189] in [target.name for target in batch.targets]
    assert [finding.kind for finding in report.findings] == ["under_replicated"]


def test_a_journal_of_another_trail_or_no_journal_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    other, none = tmp_path / "other", tmp_path / "none"
    Journal(other, "0" * 32).__exit__(None, None, None)
    none.write_text("my notes\n")

    for file in (other, none):
        before = file.read_bytes()
        with pytest.raises(RejectedError, match="--resume"):
            Journal(file, TRAIL.trail)
        assert file.read_bytes() == before

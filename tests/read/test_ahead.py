"""Events of folds, read back in the order of their ledgers: all of them, whoever asks for what."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.read import ahead as ahead_module
from holdfast.read import fold as fold_module
from holdfast.read import indexed as indexed_module
from holdfast.read.engine import DEFAULTS, Engine
from holdfast.read.pages import Page, read_page
from holdfast.read.search import lines_within
from holdfast.read.sources import FoldSource, Stretch
from tests.read.little_trail import NODES, SECOND_US, START_US, Trail, record_of

EVENTS = 240
TENANTS = 6


@pytest.fixture(scope="module", name="made")
def trail_of(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trail, list[FoldSource]]:
    """Two nodes' segments of eight events, each of another tenant than the one before; two folds,
    each of which has every other segment, with pages of some ten records."""
    folder = tmp_path_factory.mktemp("ahead")
    trail = Trail(folder)
    for start in range(0, EVENTS, 8):
        several = range(start, start + 8)
        trail.add(NODES[start // 8 % 3 // 2], [record(n) for n in several])
    paths = (str(folder / f"{number}.parquet") for number in range(2))
    halves = (trail.sources[::2], trail.sources[1::2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fold_module, "PAGE_BYTES", 1_200)
        patch.setattr(fold_module, "PAGE_CHECK_ROWS", 1)
        return trail, [
            fold_module.fold(half, path).source(path)
            for half, path in zip(halves, paths, strict=True)
        ]


def record(number: int) -> bytes:
    event = {"id": f"e{number}", "action": "go", "tenant": f"t{number % TENANTS}"}
    return record_of(event, START_US + number * SECOND_US)


Made = tuple[Trail, list[FoldSource]]
Asked = tuple[str, int, int, str | None]
stretches = st.tuples(
    st.sampled_from(NODES),
    st.integers(0, EVENTS),
    st.integers(1, 60),
    st.sampled_from([None, "t1", "nobody"]),
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(stretches, max_size=6), st.integers(9, 40), st.sampled_from([1, 4_000, 1 << 20]))
def test_whatever_was_asked_before_all_events_of_a_stretch_are_found(
    made: Made, asked: list[Asked], step: int, run_bytes: int
) -> None:
    trail, folds = made
    going_on = [(NODES[0], start, step, None) for start in range(0, EVENTS, step)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ahead_module, "RUN_BYTES", run_bytes)
        for node, start, width, tenant in [*asked, *going_on]:
            found = lines_within(folds, Stretch(node, start, start + width), tenant)

            assert [
                (lines.segment, position, record)
                for lines in found
                for position, record in enumerate(lines.data.split(b"\n")[:-1], lines.first)
            ] == [
                (one.segment, one.position, one.record)
                for one in trail.stored
                if one.node == node
                and start <= one.position < start + width
                and tenant in (None, one.event["tenant"])
            ]


def pages_read(made: Made, step: int, tenant: str | None = None) -> int:
    """How many pages are opened for all of a node, so many positions at a time."""
    trail, folds = made
    opened = []

    def counted(path: str, page: Page) -> bytes:
        opened.append(page)
        return read_page(path, page)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(indexed_module, "PAGES_BYTES", 1)
        patch.setattr(indexed_module, "read_page", counted)
        engine = Engine(DEFAULTS)
        end = max(one.position for one in trail.stored if one.node == NODES[0]) + 1
        for start in range(0, end, step):
            engine.within(folds, Stretch(NODES[0], start, start + step), tenant)
    return len(opened)


def test_who_reads_on_has_a_page_opened_for_many_batches(made: Made) -> None:
    at_once, one_by_one = pages_read(made, EVENTS), pages_read(made, 2)

    assert at_once > 10
    assert one_by_one < 4 * at_once


def test_for_one_tenant_no_page_of_others_is_opened(made: Made) -> None:
    every, mine = pages_read(made, EVENTS), pages_read(made, EVENTS, "t1")

    assert 0 < mine <= every // 2

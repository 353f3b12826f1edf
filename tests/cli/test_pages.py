"""`holdfast status` and `holdfast completeness` as a person sees them: on a real terminal."""

import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.cli.app import run
from holdfast.cli.timeline import Line, Span, cells_of
from holdfast.model import LOSSES, HoldingKind
from holdfast.serve.ui.advice import HOLDING, MAYBE_LOST
from holdfast.watch import advice
from tests.cli.terminal import terminal
from tests.cli.trail import write_trail
from tests.serve.running import EVENT, Running, running

Capture = pytest.CaptureFixture[str]
NEXT = re.compile(r"^  \w{8}….{4} +2 +✓ open", re.M)  # the node in another epoch
OPERATIONS = (Path(__file__).parents[2] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One whose region c goes away after the first event, with two more that it lacks."""
    with running(tmp_path_factory.mktemp("pages") / "data") as started:
        started.post(EVENT)
        started.wait_until(lambda: all(is_whole(r) for r in regions_of(started).values()))
        (started.data / "regions" / "c").rename(started.data / "c-is-away")
        started.post(EVENT)
        started.post(EVENT)
        started.wait_until(lambda: is_told(regions_of(started)["c"]))
        started.wait_until(lambda: bool(started.get("/v1/checkpoints").json()["checkpoints"]))
        yield started


@pytest.fixture(scope="module")
def gap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trail without a server, with a gap whose cause speaks to terminals and to markup."""
    data = tmp_path_factory.mktemp("gap") / "data"
    events: list[dict[str, object]] = [{"action": "a"}] * 4
    write_trail(data, *events)
    lost = list(data.glob("regions/*/ev/seg/*/*/0000000001-*"))
    for path in lost:
        path.unlink()
    where = ("--data", str(data), "--node", lost[0].parents[1].name, "--from", "1", "--to", "2")
    assert run(["gap", "declare", *where, "--yes", "--why", "a fire \x1b[2J[bold]"]) == 0
    return data


def is_whole(region: dict[str, Any]) -> bool:
    return region["usable"] and region["lag"] is not None and not region["lag"]["segments"]


def is_told(region: dict[str, Any]) -> bool:
    """That it is away, and what it lacks: the two, and an alert of it once that is kept."""
    return not region["usable"] and region["state"] == "open" and region["lag"]["segments"] >= 2


def regions_of(server: Running) -> dict[str, dict[str, Any]]:
    return {each["region"]: each for each in server.get("/v1/status").json()["regions"]}


@pytest.mark.slow
def test_the_status_shows_each_region_and_what_is_wrong_in_80_columns(server: Running) -> None:
    with terminal(["status", "--server", server.url]) as seen:
        code = seen.end()

    shown = seen.shown
    assert code == 0 and b"\x1b[" in seen.written  # in colour
    assert "✓ ready" in shown and "✓ Complete through" in shown
    assert "resting on regions a and b" in shown
    assert "✓ Nothing acknowledged is known to be lost" in shown
    assert re.search(r"^  a +✓ up to date +0 +0 B +0 s +closed", shown, re.M)
    assert re.search(r"^  c +✗ does not count +[23] +[\d.]+ (K?B) ", shown, re.M)
    assert "✗ c: left alone: there is no directory" in shown
    assert re.search(r"^  \w{8}….{4} +1 +✓ open +[34] +[34] +0 ", shown, re.M)
    assert "covers" in shown and re.search(r"\d events in \d segments", shown)


@pytest.mark.slow
def test_a_wide_terminal_also_shows_where_the_regions_lie(server: Running) -> None:
    with terminal(["status", "--server", server.url], columns=160) as seen:
        seen.end()

    assert (server.data / "regions" / "b").as_uri()[:60] in seen.shown


def test_elsewhere_the_status_is_plain_and_no_line_is_broken(
    server: Running, capsys: Capture
) -> None:
    code = run(["status", "--server", server.url])

    shown = capsys.readouterr().out
    assert code == 0 and "\x1b" not in shown
    assert all(line == line.rstrip() for line in shown.splitlines())
    missing = server.data / "regions" / "c"
    assert f"  ✗ c: left alone: there is no directory {missing}" in shown.splitlines()


@pytest.mark.slow
def test_watching_outlives_a_server_that_is_away_and_ends_with_the_terminal_as_it_was(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "data") as first:
        port = first.port
        arguments = ["status", "--watch", "--every", "0.2", "--server", first.url]
        with terminal(arguments, lines=24) as seen:
            seen.see(lambda shown: "✓ ready" in shown)
            first.stop()
            away = seen.see(lambda shown: "NO ANSWER for" in shown)
            with running(tmp_path / "data", port=port):
                seen.see(lambda shown: "NO ANSWER" not in shown and bool(NEXT.search(shown)))

                code = seen.interrupt()

    assert "connection refused" in away and "✓ up to date" in away  # the last figures stay
    assert code == 130
    assert seen.written.endswith(b"\x1b[?25h\x1b[?1049l")  # the cursor, and the screen before
    assert b"Traceback" not in seen.written


@pytest.mark.slow
def test_watching_says_so_when_an_answer_does_not_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:  # connects, and never answers
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        with terminal(["status", "--watch", "--server", url], lines=10) as seen:
            waiting = seen.see(lambda shown: "NO ANSWER" in shown)

            code = seen.interrupt()

    assert re.match(r"! NO ANSWER yet for [3-9]\.\d s", waiting)
    assert code == 130


@pytest.mark.slow
def test_what_does_not_fit_on_the_screen_is_counted(server: Running) -> None:
    with terminal(["status", "--watch", "--server", server.url], lines=10) as seen:
        shown = seen.see(lambda shown: "more lines" in shown)
        seen.interrupt()

    assert shown.splitlines()[0].startswith("Holdfast")
    assert re.fullmatch(r"… \d+ more lines: make the window taller", shown.splitlines()[9])


@pytest.mark.slow
def test_a_gap_is_drawn_with_its_cause_and_cannot_speak_to_the_terminal(gap: Path) -> None:
    with terminal(["completeness", "--data", str(gap)]) as seen:
        code = seen.end()

    shown = seen.shown
    node = next(gap.glob("regions/a/ev/seg/*")).name
    assert code == 4
    assert r"a fire \x1b[2J[bold]" in shown and b"\x1b[2J" not in seen.written
    assert re.search(rf"^{node[:8]}…{node[-4:]} █+X█*░* +1 gap$", shown, re.M)
    assert "segments 1 up to 2" in shown


@pytest.mark.slow
def test_a_hole_is_drawn_as_unknown_with_what_to_do(gap: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(gap, tmp_path / "data"))
    for path in data.glob("regions/*/ev/seg/*/*/0000000002-*"):
        path.unlink()
    for cache in data.glob("cache*[!k]"):
        shutil.rmtree(cache)

    with terminal(["completeness", "--data", str(data), "--last", "2h"]) as seen:
        code = seen.end()

    assert code == 4
    assert re.search(r" [?X]*\?[?X]* +holds back: hole, 1 gap", seen.shown)
    assert "How far this is complete is not known" in seen.shown
    assert "→ Bring every region back" in seen.shown
    assert "  holdfast reconcile --data DIR" in seen.shown


def test_a_width_that_is_none_is_refused(capsys: Capture) -> None:
    code = run(["completeness", "--last", "yesterday"])

    assert code == 2
    assert "--last: is a number and m, h or d" in capsys.readouterr().err


TIMES = st.integers(min_value=-50, max_value=1_050)


@given(TIMES, st.lists(st.tuples(TIMES, TIMES), max_size=3), st.booleans(), st.integers(1, 90))
def test_nothing_is_drawn_as_known_that_is_not(
    through_us: int, ranges: list[tuple[int, int]], waiting: bool, count: int
) -> None:
    gaps = tuple(Span(min(pair), max(pair)) for pair in ranges)
    line = Line("n", through_us, gaps, waiting, "")

    cells = cells_of(line, Span(0, 1_000), count)

    assert len(cells) == count
    edges = [1_000 * index // count for index in range(count + 1)]
    for cell, start, end in zip(cells, edges, edges[1:], strict=False):
        touched = any(gap.from_us < end and gap.to_us >= start for gap in gaps)
        assert (cell == "gap") == touched
        assert cell != "complete" or end <= through_us
        assert cell != "unknown" or waiting


def test_from_the_regions_alone_the_status_claims_nothing_of_a_server_or_of_lag(
    gap: Path, capsys: Capture
) -> None:
    assert run(["status", "--data", str(gap)]) == 0

    shown = capsys.readouterr().out
    assert "no server was asked" in shown and "ready" not in shown
    assert re.search(r"^  a +✓ counts +- +- +-", shown, re.M)
    assert "known to be lost" not in shown  # the gap says what is


def test_what_may_be_lost_is_what_the_advice_says() -> None:
    assert {kind for kind, each in HOLDING.items() if each.lost == MAYBE_LOST} == LOSSES


def test_there_is_advice_for_everything_that_operations_names() -> None:
    def kinds(title: str) -> set[str]:
        section = OPERATIONS.partition(f"\n## {title}")[2].partition("\n## ")[0]
        return set(re.findall(r"^\| `([a-z-]+)` \|", section, re.M))

    assert HOLDING.keys() == set(get_args(HoldingKind)) == kinds("What holds")
    assert advice.FINDING.keys() == kinds("Findings")

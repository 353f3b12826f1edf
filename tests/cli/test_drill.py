"""A drill breaks only what it made, says what became of it, and leaves nothing."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from holdfast.cli.app import run
from holdfast.cli.drill import Trial, exit_code
from holdfast.cli.exits import BAD_INPUT, GOOD, INTERRUPTED, REFUTED, UNREACHED
from holdfast.cli.scratch import changed, environment, scratch
from holdfast.settings import load
from tests.cli.test_documents import EXAMPLES, shape
from tests.e2e.server import wait_until

Capture = pytest.CaptureFixture[str]
TRIALS = [
    *("region-away", "region-wiped", "corrupt-byte", "killed", "cache-deleted", "node-lost"),
    "no-server",
]
SENT = {"id": "1", "action": "drill.event", "reason": "0"}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories go."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """An operator's own settings, whose regions are not there, and must not be made."""
    file = tmp_path / "holdfast.toml"
    tables = [f'[regions.{id}]\nurl = "file://{tmp_path}/real/{id}"\n' for id in ("a", "b", "c")]
    file.write_text(f'data = "{tmp_path}/real/data"\nquorum = 2\n' + "".join(tables))
    return file


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_usual_configuration_survives_all_and_nothing_is_left_or_touched(
    config: Path, temporary: Path, capsys: Capture
) -> None:
    code = run(["drill", "--config", str(config), "--json"])

    told = json.loads(capsys.readouterr().out)
    assert [trial for trial in told["trials"] if not trial["survived"]] == []
    assert (code, told["survived"]) == (GOOD, True)
    assert [trial["trial"] for trial in told["trials"]] == TRIALS
    assert told["acknowledged"] > 100
    assert shape(told) == shape(EXAMPLES["drill"])
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in config.parent.iterdir()) == ["holdfast.toml", "temporary"]


@pytest.mark.slow
def test_a_drill_that_is_stopped_ends_its_server_and_leaves_nothing(
    config: Path, temporary: Path
) -> None:
    command = [sys.executable, "-m", "holdfast", "drill", "--config", str(config)]
    paths = {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    drill = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, **paths})
    wait_until(lambda: any(temporary.glob("holdfast-drill-*/one.log")))

    drill.terminate()

    assert drill.wait(60) == INTERRUPTED
    assert list(temporary.iterdir()) == []


def test_a_drill_whose_server_does_not_start_could_not_be_run(
    config: Path, temporary: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    code = run(["drill", "--config", str(config)])

    assert code == UNREACHED
    assert "the scratch server does not start" in capsys.readouterr().err
    assert list(temporary.iterdir()) == []


def test_settings_that_are_wrong_are_refused(config: Path, temporary: Path) -> None:
    config.write_text("quorum = 9\n")

    code = run(["drill", "--config", str(config)])

    assert code == BAD_INPUT
    assert list(temporary.iterdir()) == []


def test_a_scratch_trail_has_the_shape_of_the_real_one_and_none_of_its_places(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_QUORUM", "1")
    regions = {
        id: {"url": f"file:///real/{id}", "control_url": f"file:///real/c-{id}"} for id in "pq"
    }
    flags = {"data": "/real", "token_file": "/real/token", "follow_interval_ms": 77}
    flags |= {"alerts": {"apprise": ["json://pager"]}, "traces": {"url": "http://collector/real"}}
    settings = load(None, {}, {"quorum": 2, "regions": regions, **flags})

    with scratch(settings) as made:
        copied = load(made.config, environment(), {})

        assert (copied.quorum, copied.follow_interval_ms, list(copied.regions)) == (
            2,
            77,
            ["p", "q"],
        )
        assert (copied.reconcile_interval_s, copied.lost_after_s) == (2, 5)
        assert copied.regions["q"].control_url.startswith(temporary.as_uri())
        assert "/real" not in made.config.read_text()


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        ([SENT | {"received": "now"}], 0),
        ([], 1),
        ([SENT, SENT], 1),
        ([SENT | {"reason": "other"}], 1),
        ([SENT, SENT | {"id": "2"}], 0),
    ],
)
def test_what_was_acknowledged_is_found_once_and_as_it_was_sent(
    found: list[dict[str, str]], wrong: int
) -> None:
    assert len(changed({"1": SENT}, found)) == wrong


def test_lost_or_changed_is_1_and_not_in_time_is_3() -> None:
    good, late = Trial("a", "a", survived=True), Trial("b", "b", why="late")
    lost = Trial("c", "c", is_changed=True)

    codes = [exit_code(trials) for trials in ([good], [good, late], [late, lost, good])]

    assert codes == [GOOD, UNREACHED, REFUTED]

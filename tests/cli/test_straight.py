"""Every reading command, straight from the regions, with no server alive."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from tests.cli.trail import write_trail

Capture = pytest.CaptureFixture[str]

EVENTS: tuple[dict[str, object], ...] = (
    {"id": "1", "action": "user.login", "actor": {"id": "alice"}, "time": "2026-01-01T00:00:00Z"},
    {"id": "2", "action": "user.logout", "actor": {"id": "alice"}, "tenant": "acme"},
    {"id": "1", "action": "user.login", "actor": {"id": "alice"}, "time": "2026-01-01T00:00:00Z"},
)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("straight") / "data"
    write_trail(data, *EVENTS)
    return data


@pytest.fixture
def data(founded: Path, tmp_path: Path) -> Path:
    """A trail of one's own, for a test that damages it."""
    return Path(shutil.copytree(founded, tmp_path / "data"))


def ask(data: Path, capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run([*arguments, "--data", str(data), "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_search_finds_each_event_once_and_says_what_it_rests_on(
    founded: Path, capsys: Capture
) -> None:
    code, page = ask(founded, capsys, "search", "--actor", "alice")

    assert code == 0
    assert [event["id"] for event in page["events"]] == ["2", "1"]
    assert [basis["region"] for basis in page["basis"]] == ["a", "b", "c"]
    assert page["complete_through"] and not page["gaps"] and page["next"] is None


def test_a_count_leaves_repeats_out_and_the_status_counts_them(
    founded: Path, capsys: Capture
) -> None:
    _, counts = ask(founded, capsys, "search", "--count", "--by", "action")
    _, status = ask(founded, capsys, "status")

    assert counts["count"] == 2
    assert status["reader"]["repeats"] == 1
    assert status["node"] is None


def test_show_finds_an_event_by_id_and_tenant(founded: Path, capsys: Capture) -> None:
    found, shown = ask(founded, capsys, "show", "2", "--tenant", "acme")
    missing, nothing = ask(founded, capsys, "show", "2", "--tenant", "other")

    assert (found, missing) == (0, 2)
    assert len(shown["events"]) == 1 and nothing["events"] == []


def test_one_region_alone_still_answers(data: Path, capsys: Capture) -> None:
    for lost in ("a", "c"):
        shutil.rmtree(data / "regions" / lost)

    code, page = ask(data, capsys, "search")

    assert code == 0
    assert len(page["events"]) == 2
    assert page["holding_back"]


def test_with_one_region_and_no_cache_nothing_is_known_to_be_complete(
    data: Path, capsys: Capture
) -> None:
    for lost in ("regions/a", "regions/c", "cache-commands"):
        shutil.rmtree(data / lost, ignore_errors=True)

    code, said = ask(data, capsys, "completeness")

    assert code == 4
    assert said["complete_through"] is None


def test_a_filter_that_means_nothing_is_2_and_named(founded: Path, capsys: Capture) -> None:
    code = run(["search", "--data", str(founded), "--from", "yesterday"])

    assert code == 2
    assert capsys.readouterr().err.startswith("holdfast: from: ")


def test_no_trail_at_all_is_3_and_nothing_is_made(tmp_path: Path, capsys: Capture) -> None:
    code = run(["search", "--data", str(tmp_path / "none")])

    assert code == 3
    assert "no region shows which trail this is" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_reconcile_gives_a_region_back_what_it_lacks(data: Path, capsys: Capture) -> None:
    segments = sorted((data / "regions/b/ev/seg").rglob("*.zst"))
    kept = segments[1].read_bytes()
    segments[1].unlink()

    code, report = ask(data, capsys, "reconcile")
    again, second = ask(data, capsys, "reconcile")

    assert (code, again) == (0, 0)
    assert segments[1].read_bytes() == kept
    assert [region["repaired"] for region in report["regions"]] == [0, 1, 0]
    assert report["identical"] and second["identical"]


def test_reconcile_is_3_while_a_region_is_away(data: Path, capsys: Capture) -> None:
    shutil.rmtree(data / "regions/b")

    code, report = ask(data, capsys, "reconcile")

    assert code == 3
    assert report["identical"] is False
    assert "no directory" in report["regions"][1]["state"]


def test_region_list_names_the_stores_and_what_is_wrong_with_one(
    data: Path, capsys: Capture
) -> None:
    shutil.rmtree(data / "regions/c")

    code, seen = ask(data, capsys, "region", "list")

    assert code == 3
    states = [region["state"] for region in seen["regions"]]
    assert states == ["ok", "ok", "unverified"]


def test_region_list_and_the_doctor_see_a_store_whose_place_another_has_taken(
    data: Path, capsys: Capture
) -> None:
    old = shutil.move(data / "regions/c", data / "old")
    assert run(["region", "replace", "c", "--data", str(data)]) == 0
    write_trail(data, {"id": "3", "action": "x"})
    shutil.rmtree(data / "regions/c")
    shutil.move(old, data / "regions/c")
    capsys.readouterr()

    code, seen = ask(data, capsys, "region", "list")
    _, found = ask(data, capsys, "doctor")

    *others, superseded = seen["regions"]
    assert (code, [each["state"] for each in others]) == (3, ["ok", "ok"])
    assert superseded["state"] == "superseded"
    assert superseded["why"].startswith("an epoch began since with store ")
    bad = {each["check"]: each["detail"] for each in found["checks"] if each["state"] == "bad"}
    assert superseded["why"] in bad["region c"]


def _swap(data: Path) -> None:
    (data / "regions/a").rename(data / "regions/x")
    (data / "regions/b").rename(data / "regions/a")
    (data / "regions/x").rename(data / "regions/b")


SWAPPED = {
    "a": "its store is that of the region b",
    "b": "its store is that of the region a",
    "c": "",
}


@pytest.mark.parametrize("with_key", [True, False])
def test_beside_swapped_regions_the_third_is_read_and_the_two_are_named(
    data: Path, capsys: Capture, with_key: bool
) -> None:
    _swap(data)
    shutil.rmtree(data / "cache-commands", ignore_errors=True)
    if not with_key:
        (data / "trail.key").unlink()

    searched, page = ask(data, capsys, "search")
    judged, said = ask(data, capsys, "completeness")
    asked, status = ask(data, capsys, "status")

    assert (searched, judged, asked) == (0, 4, 0)
    assert {event["id"] for event in page["events"]} >= {"1", "2"}
    assert said["complete_through"] is None
    told = json.dumps(said["holding_back"])
    assert all(why in told for why in SWAPPED.values())
    assert {each["region"]: each["why"] for each in status["regions"]} == SWAPPED
    states = [(each["state"], each["usable"]) for each in status["regions"]]
    assert states == [("unverified", False), ("unverified", False), ("ok", True)]


def test_swapped_regions_are_not_repaired(data: Path, capsys: Capture) -> None:
    _swap(data)

    code, report = ask(data, capsys, "reconcile")

    assert code == 3
    assert {each["region"]: each["state"] for each in report["regions"]} == {**SWAPPED, "c": "ok"}


def test_each_region_has_its_own_reason_in_the_list_and_with_the_doctor(
    data: Path, capsys: Capture
) -> None:
    _swap(data)

    listed, seen = ask(data, capsys, "region", "list")
    examined, found = ask(data, capsys, "doctor")

    assert (listed, examined) == (3, 3)
    assert {each["region"]: each["why"] for each in seen["regions"]} == SWAPPED
    bad = {each["check"]: each["detail"] for each in found["checks"] if each["state"] == "bad"}
    assert set(bad) == {"region a", "region b", "quorum"}
    assert SWAPPED["a"] in bad["region a"] and SWAPPED["b"] in bad["region b"]


def test_two_entries_that_lead_to_one_store_are_read_as_one(data: Path, capsys: Capture) -> None:
    shutil.rmtree(data / "cache-commands", ignore_errors=True)
    shutil.rmtree(data / "regions/b")
    (data / "regions/b").symlink_to("a")

    code, said = ask(data, capsys, "status")

    assert code == 0
    assert [basis["region"] for basis in said["basis"]] == ["a", "c"]
    assert said["regions"][1]["why"] == SWAPPED["b"]
    assert said["reader"]["events"] == len(EVENTS)


def test_a_server_does_not_start_on_swapped_regions(data: Path, capsys: Capture) -> None:
    _swap(data)

    code = run(["serve", "--data", str(data), "--port", "0"])

    assert code == 2
    told = capsys.readouterr().err
    assert SWAPPED["a"] in told and SWAPPED["b"] in told


def test_the_doctor_shows_every_setting_and_a_key_that_others_can_read(
    data: Path, capsys: Capture
) -> None:
    well, _ = ask(data, capsys, "doctor")
    (data / "trail.key").chmod(0o644)

    ill, found = ask(data, capsys, "doctor")

    assert (well, ill) == (0, 3)
    bad = [each["check"] for each in found["checks"] if each["state"] == "bad"]
    assert bad == ["trail key"]
    assert found["settings"]["quorum"] == 2


def test_the_doctor_takes_a_token_where_the_server_does(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    token = tmp_path / "token"
    monkeypatch.setenv("HOLDFAST_TOKEN_FILE", str(token))
    states = []
    for text, mode in (("t" * 32, 0o640), ("t" * 32, 0o644), ("with some spaces in it", 0o600)):
        token.write_text(text)
        token.chmod(mode)
        _, found = ask(data, capsys, "doctor")
        states += [each["state"] for each in found["checks"] if each["check"] == "token"]

    assert states == ["ok", "warning", "bad"]


def test_the_doctor_shows_no_password_of_a_collector(
    data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    config = tmp_path / "traces.toml"
    config.write_text('[traces]\nurl = "https://user:secret@collector.example/v1/traces"\n')

    _, found = ask(data, capsys, "doctor", "--config", str(config))

    assert found["settings"]["traces"]["url"] == "https://collector.example/v1/traces"


def test_the_doctor_counts_no_region_that_leaves_among_those_that_are_written_to(
    data: Path, capsys: Capture
) -> None:
    tables = [f'[regions.{id}]\nurl = "file://{data}/regions/{id}"' for id in "abc"]
    earlier = '[[earlier]]\nquorum = 2\nregions = ["a", "b", "c"]\n'
    config = data / "holdfast.toml"
    config.write_text("\n".join(["quorum = 2", *tables, "leaving = true", earlier]))
    shutil.rmtree(data / "regions/b")

    code, found = ask(data, capsys, "doctor", "--config", str(config))

    assert code == 3
    bad = {each["check"]: each["detail"] for each in found["checks"] if each["state"] == "bad"}
    assert set(bad) == {"region b", "quorum"}
    assert bad["quorum"] == "1 of 2 regions take events; 2 must"


def test_the_doctor_does_not_count_a_region_that_takes_nothing(data: Path, capsys: Capture) -> None:
    store = data / "regions/b"
    shutil.rmtree(store / "ev/probe", ignore_errors=True)
    (store / "ev/probe").write_bytes(b"no directory, so nothing can be put below it")

    code, found = ask(data, capsys, "doctor")

    quorum = next(each for each in found["checks"] if each["check"] == "quorum")
    assert code == 0
    assert (quorum["state"], quorum["detail"]) == ("warning", "2 of 3 regions take events; 2 must")


def test_the_doctor_tries_each_region_and_leaves_nothing_that_a_verifier_minds(
    data: Path, capsys: Capture
) -> None:
    code, found = ask(data, capsys, "doctor")
    verified, report = ask(data, capsys, "verify")

    assert (code, verified) == (0, 0)
    states = {each["check"]: each["state"] for each in found["checks"]}
    tried = ("put-if-absent", "read-after-write", "list-after-write", "clock", "latency")
    assert {states[f"region {id}: {name}"] for id in "abc" for name in tried} == {"ok"}
    assert report["findings"] == []


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"\xff" * 5000])
@pytest.mark.parametrize(("key", "check"), [("trail.key", "trail key"), ("node.key", "node key")])
def test_the_doctor_refuses_a_key_that_the_server_would_refuse(
    data: Path, capsys: Capture, key: str, check: str, content: bytes
) -> None:
    path = next(data.rglob(key))
    path.write_bytes(content)

    code, found = ask(data, capsys, "doctor")

    bad = [each for each in found["checks"] if each["state"] == "bad"]
    assert code == 3
    assert [each["check"] for each in bad] == [check]
    assert f"{path}: is not a " in bad[0]["detail"]


def test_reconcile_is_4_for_a_segment_in_no_region_and_says_what_it_compared(
    data: Path, capsys: Capture
) -> None:
    index = "0000000001"
    for segment in data.glob(f"regions/*/ev/seg/*/*/{index}-*"):
        segment.unlink()

    code, report = ask(data, capsys, "reconcile")
    run(["reconcile", "--data", str(data)])
    told = capsys.readouterr().out

    assert code == 4
    assert [finding["kind"] for finding in report["findings"]] == ["lost"]
    assert report["findings"][0]["key"].endswith(f"/{index}")
    assert "compared: names and sizes" in told
    assert "segment 1 of node" in told


def test_reconcile_is_1_for_a_copy_that_was_cut_short(data: Path, capsys: Capture) -> None:
    segment = next((data / "regions/b/ev/seg").rglob("*.zst"))
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes()[:-1])

    code, report = ask(data, capsys, "reconcile")

    assert code == 1
    assert [(each["kind"], each["region"]) for each in report["findings"]] == [("corrupt", "b")]


def test_completeness_is_4_where_no_region_has_a_good_copy(data: Path, capsys: Capture) -> None:
    for segment in data.glob("regions/*/ev/seg/*/*/0000000001-*"):
        segment.chmod(0o600)
        segment.write_bytes(b"rotten")
    for cache in ("cache", "cache-commands"):
        shutil.rmtree(data / cache, ignore_errors=True)

    code, said = ask(data, capsys, "completeness")

    assert code == 4
    (holding,) = said["holding_back"]
    assert holding["kind"] == "unreadable"
    assert holding["reason"] == (
        "segment 1 cannot be read: no region has a good copy (a: its copy is corrupt; "
        "b: its copy is corrupt; c: its copy is corrupt)"
    )


def test_a_data_directory_that_is_a_file_is_said_in_one_line(
    tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "plain").write_text("")

    code = run(["serve", "--data", str(tmp_path / "plain"), "--port", "0"])

    assert code == 3
    said = capsys.readouterr().err.strip()
    assert said.endswith("plain is no directory: name one that may hold the data")
    assert "\n" not in said


def test_who_does_not_wait_for_regions_that_hang_is_let_go(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never answers
        (tmp_path / "holdfast.toml").write_text(
            f'[regions.a]\nurl = "s3://bucket/a"\nendpoint = "http://127.0.0.1:{_port(silent)}"\n'
        )
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
            env={**os.environ, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
        )
        try:
            silent.settimeout(30)
            asked, _ = silent.accept()
            process.send_signal(signal.SIGINT)

            assert process.wait(3) == 130
        finally:
            process.kill()
            process.wait()
        asked.close()


INTERRUPTED = """
import sys
from holdfast.cli.main import main
sys.argv[1:] = ["search", "--config", f"{sys.argv[1]}/holdfast.toml", "--data", sys.argv[1]]
main()
"""


def _port(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port

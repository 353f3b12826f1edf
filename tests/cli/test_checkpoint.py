"""`holdfast checkpoint`: what an outsider keeps, and what that catches."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import run
from holdfast.cli.checkpoint import Watch, _round
from holdfast.client import UnreachableError
from holdfast.proof import names, note
from holdfast.proof.note import Checkpoint
from holdfast.regions import layout, signing
from holdfast.regions.disk import PosixDisk
from holdfast.regions.signing import SigningKey
from holdfast.write.keyfiles import KeyFiles
from tests.cli.trail import write_trail
from tests.serve.running import running

Capture = pytest.CaptureFixture[str]
EVENT: dict[str, object] = {"action": "a"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trail of two nodes; the first is gone, the second has run twice."""
    data = tmp_path_factory.mktemp("checkpoint") / "data"
    write_trail(data, EVENT, EVENT, EVENT)
    shutil.rmtree(data / "nodes")
    write_trail(data, EVENT, EVENT)
    write_trail(data, EVENT)
    return data


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    """A trail of one's own, for a test that changes it."""
    return Path(shutil.copytree(written, tmp_path / "data"))


def ask(data: Path, capsys: Capture, *more: str) -> tuple[int, list[dict[str, str]], str]:
    code = run(["checkpoint", "--data", str(data), *more])
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


def sizes(lines: list[dict[str, str]]) -> list[int]:
    parsed = [note.parse_checkpoint(note.parse(each["note"].encode()).text) for each in lines]
    assert [each.origin for each in parsed] == [each["origin"] for each in lines]
    return sorted(each.size for each in parsed)


def kept(tmp_path: Path, lines: list[dict[str, str]]) -> Path:
    file = tmp_path / "kept.ndjson"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def living_key(data: Path) -> SigningKey:
    """The key of the node that writes."""
    seed, _ = KeyFiles(data / "nodes" / "0", PosixDisk()).read()
    assert seed is not None
    trail = run_trail(data)
    public = SigningKey.generate("unnamed", seed).public
    return SigningKey.generate(names.ledger_origin(trail, names.node_id(public)), seed)


def run_trail(data: Path) -> str:
    return (data / "trail.key").read_text().split("\n")[1].removeprefix("trail ")


def sign(data: Path, size: int, root: bytes) -> bytes:
    """Let the living node sign whatever a liar would have it sign."""
    key = living_key(data)
    return signing.sign(Checkpoint(key.name, size, root).text, key)


def plant(data: Path, size: int, signed: bytes, regions: str = "abc") -> None:
    node = names.parse_ledger_origin(living_key(data).name)[1]
    for region in regions:
        path = data / "regions" / region / layout.checkpoint_key(node, size)
        path.write_bytes(signed)


def test_it_prints_a_line_a_node_sorted_by_origin(written: Path, capsys: Capture) -> None:
    code, lines, _ = ask(written, capsys)

    assert code == 0
    assert [each["origin"] for each in lines] == sorted(each["origin"] for each in lines)
    assert sizes(lines) == [3, 3]
    assert all(each.keys() == {"origin", "note"} for each in lines)


def test_only_what_is_newer_than_what_is_kept_is_printed(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    _, lines, _ = ask(data, capsys)
    file = kept(tmp_path, lines)

    same = ask(data, capsys, "--expect", str(file))
    write_trail(data, EVENT)
    newer = ask(data, capsys, "--expect", str(file))
    file.write_text(file.read_text() + json.dumps(newer[1][0]) + "\n")
    again = ask(data, capsys, "--expect", str(file))

    assert same == again == (0, [], "")
    assert (newer[0], sizes(newer[1])) == (0, [4])


def test_a_checkpoint_that_does_not_follow_is_refused(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    _, lines, _ = ask(data, capsys)
    mine = living_key(data).name
    others = [line for line in lines if line["origin"] != mine]
    lie = {"origin": mine, "note": sign(data, 2, bytes(32)).decode()}

    code, printed, said = ask(data, capsys, "--expect", str(kept(tmp_path, [*others, lie])))

    assert (code, printed) == (1, [])
    assert "REFUTED: the checkpoint of 3 segments does not follow from that of 2" in said


def test_a_newer_checkpoint_that_no_names_give_is_refused(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = kept(tmp_path, ask(data, capsys)[1])
    write_trail(data, EVENT)
    plant(data, 4, sign(data, 4, bytes(32)))
    shutil.rmtree(data / "regions" / "a" / "ctl")
    for region in ("b", "c"):
        shutil.rmtree(data / "regions" / region / "ctl")

    code, printed, said = ask(data, capsys, "--expect", str(file))

    assert (code, printed) == (1, [])
    assert "does not follow from that of 3" in said


def test_two_stories_of_one_size_are_refuted_without_any_note_kept(
    data: Path, capsys: Capture
) -> None:
    plant(data, 3, sign(data, 3, bytes(32)), "c")

    code, _, said = ask(data, capsys)

    assert code == 1
    assert "two checkpoints of one size differ" in said


def test_a_tail_that_was_cut_off_is_incomplete(data: Path, tmp_path: Path, capsys: Capture) -> None:
    file = kept(tmp_path, ask(data, capsys)[1])
    node = names.parse_ledger_origin(living_key(data).name)[1]
    for region in ("a", "b", "c"):
        root = data / "regions" / region
        (root / layout.checkpoint_key(node, 3)).unlink()
        (root / layout.heartbeat_key(node)).unlink()
        next((root / "ev" / "seg" / node).rglob("0000000002-*")).unlink()

    code, printed, said = ask(data, capsys, "--expect", str(file))

    assert (code, printed) == (4, [])
    assert "segment 2 is in none of the regions listed" in said


def test_a_node_that_vanished_is_incomplete(data: Path, tmp_path: Path, capsys: Capture) -> None:
    lines = ask(data, capsys)[1]
    gone = names.ledger_origin(run_trail(data), "0" * 32)
    unknown = {"origin": gone, "note": lines[0]["note"].replace(lines[0]["origin"], gone)}

    code, _, said = ask(data, capsys, "--expect", str(kept(tmp_path, [*lines, unknown])))

    assert code == 4
    assert f"{gone}: nothing is there any more" in said


def test_too_few_regions_is_said_and_is_no_good_answer(data: Path, capsys: Capture) -> None:
    for region in ("a", "b"):
        shutil.rmtree(data / "regions" / region)

    code, lines, said = ask(data, capsys)

    assert (code, sizes(lines)) == (3, [3, 3])
    assert "too few regions could be looked at" in said


def test_another_trail_is_refuted(data: Path, capsys: Capture) -> None:
    code, lines, said = ask(data, capsys, "--trail", "0" * 32)

    assert (code, lines) == (1, [])
    assert f"this is the trail {run_trail(data)}" in said


@pytest.mark.parametrize(
    "text", ["nonsense", '{"origin":"x","note":"y"}', '{"origin":"x"}', "{}", "[]"]
)
def test_a_file_that_holds_no_checkpoints_is_named(
    text: str, written: Path, tmp_path: Path, capsys: Capture
) -> None:
    file = tmp_path / "kept.ndjson"
    file.write_text(text)

    code, lines, said = ask(written, capsys, "--expect", str(file))

    assert (code, lines) == (2, [])
    assert f"{file}, line 1" in said


def test_a_kept_note_that_the_node_did_not_sign_is_no_word_on_the_trail(
    written: Path, tmp_path: Path, capsys: Capture
) -> None:
    lines = ask(written, capsys)[1]
    lines[0]["note"] = lines[0]["note"].replace("\n3\n", "\n2\n")

    code, _, said = ask(written, capsys, "--expect", str(kept(tmp_path, lines)))

    assert code == 2
    assert "line 1: is no checkpoint of the node" in said


def test_a_server_shows_the_same_and_proves_growth(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    _, straight, _ = ask(data, capsys)
    file = kept(tmp_path, straight)
    with running(data) as server:
        for _ in range(2):
            server.post(EVENT)

        def beaten() -> bool:
            shown = server.get("/v1/checkpoints").json()["checkpoints"]
            return sizes([{k: each[k] for k in ("origin", "note")} for each in shown]) == [3, 5]

        server.wait_until(beaten)
        code = run(["checkpoint", "--server", server.url, "--expect", str(file)])
        newer = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        mine = living_key(data).name
        lie = {"origin": mine, "note": sign(data, 2, bytes(32)).decode()}
        refused = run(
            ["checkpoint", "--server", server.url, "--expect", str(kept(tmp_path, [lie]))]
        )

    assert (code, sizes(newer)) == (0, [5])
    assert refused == 1


class Answers:
    """A source that gives one answer after the other, or fails."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        self.answers = list(answers)

    def checkpoints(self) -> bytes:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} is not asked")


def test_whoever_follows_outlives_a_server_that_is_away(capsys: Capture) -> None:
    trail = "0" * 32
    empty = {
        "trail": trail,
        "checkpoints": [],
        "cosigned": [],
        "conflicts": [],
        "listed": ["a"],
        "absent": [],
        "enough": True,
    }
    source, watch = (
        Answers(UnreachableError("gone"), UnreachableError("gone"), empty),
        Watch("", {}),
    )

    codes = [_round(watch, source, True) for _ in range(3)]
    with pytest.raises(UnreachableError):
        _round(watch, Answers(UnreachableError("gone")), False)

    assert codes == [3, 3, 0]
    assert capsys.readouterr().err == "gone\n"


def test_a_server_writes_what_it_saw_of_another_node_into_its_own_ledger(data: Path) -> None:
    gone = living_key(data).name
    shutil.rmtree(data / "nodes")

    with running(data, checkpoint_interval_s=1) as server:
        path = "/v1/events?action=holdfast.ledgers.seen"
        server.wait_until(lambda: bool(server.get(path).json()["events"]))
        event = server.get(path).json()["events"][-1]
        refused = server.post({"action": "holdfast.ledgers.seen"})

    origins = {each["origin"] for each in event["attributes"]["ledgers"]}
    assert gone in origins and len(origins) == 2
    assert refused.status_code == 400

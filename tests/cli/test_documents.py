"""docs/CLI.md says what the command line prints."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.cli.app import GROUPS, VERBS, run
from holdfast.cli.exits import BAD_INPUT, GOOD, INCOMPLETE, INTERRUPTED, REFUTED, UNREACHED
from tests.cli.trail import write_trail
from tests.client.scripted import serving

PAGE = (Path(__file__).parents[2] / "docs" / "CLI.md").read_text(encoding="utf-8")
EXAMPLES = {
    name: json.loads(text)
    for name, text in re.findall(r"^```json (.+)\n((?:.*\n)+?)```$", PAGE, re.MULTILINE)
}


def test_every_verb_is_in_the_table_and_no_other() -> None:
    named = set(re.findall(r"^\| `([a-z -]+)` \| ", PAGE, re.MULTILINE))

    verbs = {name for name, _ in VERBS}
    grouped = {f"{group} {name}" for group, _, verbs in GROUPS for name, _ in verbs}
    assert named == verbs | grouped


def test_every_exit_code_is_in_the_table() -> None:
    codes = {int(code) for code in re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)}

    assert codes == {GOOD, REFUTED, BAD_INPUT, UNREACHED, INCOMPLETE, INTERRUPTED}


@pytest.mark.parametrize(
    "verb", ["reconcile", "verify", "region list", "doctor", "checkpoint", "keys show"]
)
def test_a_verb_prints_what_its_example_shows(
    verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trail(tmp_path / "data", {"action": "a"})

    json_wanted = [] if verb == "checkpoint" else ["--json"]  # which prints nothing else
    run([*verb.split(), "--data", str(tmp_path / "data"), *json_wanted])

    printed = json.loads(capsys.readouterr().out)
    printed.pop("settings", None)  # shown by name in the file's own example
    example = {name: value for name, value in EXAMPLES[verb].items() if name != "settings"}
    assert shape(printed) == shape(example)


def test_a_region_that_is_replaced_or_added_prints_what_the_example_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, settings = tmp_path / "data", tmp_path / "holdfast.toml"
    write_trail(data, {"action": "a"})
    shutil.rmtree(data / "regions" / "b")
    tables = [f'[regions.{id}]\nurl = "{(data / "regions" / id).as_uri()}"' for id in "abcd"]
    earlier = '[[earlier]]\nquorum = 2\nregions = ["a", "b", "c"]'
    settings.write_text("\n".join(["quorum = 3", *tables, earlier]))
    where = ["--data", str(data), "--config", str(settings), "--json"]

    codes = [run(["region", "replace", "b", *where]), run(["region", "add", "d", *where])]

    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert codes == [GOOD, GOOD]
    assert [shape(each) for each in printed] == [shape(EXAMPLES["region replace"])] * 2
    assert [(each["region"], bool(each["replaces"])) for each in printed] == [
        ("b", True),
        ("d", False),
    ]


def test_a_region_that_is_accepted_prints_what_the_example_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    write_trail(data, {"action": "a"})
    for id in "bc":
        shutil.rmtree(data / "regions" / id)
        run(["region", "replace", id, "--data", str(data)])
    capsys.readouterr()

    codes = [run(["region", "accept", id, "--data", str(data), "--yes", "--json"]) for id in "baz"]

    printed = capsys.readouterr()
    assert codes == [GOOD, BAD_INPUT, BAD_INPUT]
    assert shape(json.loads(printed.out)) == shape(EXAMPLES["region accept"])
    assert "its store is relied on already" in printed.err and "z is no region" in printed.err


def test_an_import_prints_what_its_example_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text('{"action":"a"}\n')

    with serving() as server:
        run(["import", "--format", "holdfast", "--server", server.url, "--json", str(file)])

    assert shape(json.loads(capsys.readouterr().out)) == shape(EXAMPLES["import"])


def shape(value: Any) -> Any:
    """The names in a JSON value, and the kinds of what they hold; of a list, its first element."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return type(value).__name__


AUDITOR = (Path(__file__).parents[2] / "docs" / "AUDITOR.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^(holdfast .*?)(?: +#.*| +>.*)?$", AUDITOR, re.M))
def test_the_commands_that_an_auditor_is_told_to_run_exist(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    verb = line.split()[1]

    code = run([verb, "--help"])

    shown = capsys.readouterr().out
    assert code == GOOD
    assert [option for option in re.findall(r"--[a-z]+", line) if option not in shown] == []


def test_the_auditors_page_is_two_screens() -> None:
    assert len(AUDITOR.splitlines()) <= 110

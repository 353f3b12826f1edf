"""GET /v1/events/export: every event that matches, in each kind of file, a page at a time."""

import csv
import hashlib
import io
import json

import httpx
import pyarrow.parquet as pq
import pytest

from holdfast.proof import statements
from holdfast.proof.export import Export
from holdfast.serve import files, parameters
from holdfast.times import format_us
from tests.serve.running import Running

COUNT = 2_345  # more than two pages


@pytest.fixture(scope="module")
def asked(server: Running) -> str:
    events = [
        {"id": f"x{n}", "action": "export.tried", "actor": {"id": "=cmd()"}, "outcome": "success"}
        for n in range(COUNT)
    ]
    assert server.post(events).status_code == 201
    return "/v1/events/export?action=export.tried&format="


def test_lines_are_the_records_as_they_are_stored(server: Running, asked: str) -> None:
    answer = server.get(asked + "ndjson")

    records = [json.loads(line) for line in answer.text.splitlines()]
    assert {record["id"] for record in records} == {f"x{n}" for n in range(COUNT)}
    assert len(records) == COUNT
    assert "node" not in records[0]
    assert answer.headers["content-disposition"] == 'attachment; filename="events.ndjson"'
    server.wait_until(lambda: server.get("/v1/completeness").json()["complete_through"] is not None)
    said = server.get(asked + "ndjson").headers["holdfast-complete-through"]
    assert said.endswith("Z")


def test_a_table_has_a_row_an_event_and_no_formula(server: Running, asked: str) -> None:
    rows = list(csv.DictReader(io.StringIO(server.get(asked + "csv").text, newline="")))

    assert len({row["id"] for row in rows}) == COUNT
    assert {row["actor_id"] for row in rows} == {"'=cmd()"}


def test_columns_hold_the_whole_record_too(server: Running, asked: str) -> None:
    table = pq.read_table(io.BytesIO(server.get(asked + "parquet").content))

    assert table.num_rows == COUNT
    assert table.column_names == [*files.COLUMNS, "record"]
    assert json.loads(table["record"][0].as_py())["action"] == "export.tried"


@pytest.mark.parametrize("kind", parameters.KINDS_OF_EXPORT)
def test_a_file_without_events_is_one_all_the_same(server: Running, kind: str) -> None:
    content = server.get(f"/v1/events/export?action=never&format={kind}").content

    match kind:
        case "ndjson":
            assert content == b""
        case "csv":
            assert content.decode().strip() == ",".join(files.COLUMNS)
        case _:
            assert pq.read_table(io.BytesIO(content)).num_rows == 0


def test_a_bad_question_is_a_problem_and_no_file(server: Running) -> None:
    answer = server.get("/v1/events/export?format=xlsx")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "format"


# -- GET /v1/export --------------------------------------------------------------------------------

SINCE = "from=2020-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def received(server: Running, asked: str) -> str:
    """All that was received before now, once it is known whole."""
    now = format_us(server.system.host.now_us())
    server.wait_until(
        lambda: (server.get("/v1/completeness").json()["complete_through"] or "") > now
    )
    return f"{SINCE}&to={now}&action=export.tried"


def test_a_receipt_is_at_hand_after_its_file_and_the_same_question_gives_the_same(
    server: Running, received: str
) -> None:
    whole = server.get(f"/v1/export?{received}")
    receipt = server.get(f"/v1/export/receipt?{received}").content

    said = statements.verify_certified(receipt, Export, server.system.regions.trail).statement
    assert said.sha256 == hashlib.sha256(whole.content).digest()
    assert said.events == len(whole.content.splitlines()) == COUNT
    assert server.get(f"/v1/export/receipt?{received}").content == receipt
    again = server.get(f"/v1/export/receipt?{received}&format=csv")
    assert statements.read(again.content, Export).statement.kind == "csv"


def test_what_is_there_already_is_not_sent_again(server: Running, received: str) -> None:
    whole = server.get(f"/v1/export?{received}").content
    half = len(whole) // 2
    sha256 = hashlib.sha256(whole[:half]).hexdigest()

    rest = server.get(f"/v1/export?{received}&had={half}&had_sha256={sha256}").content

    assert whole[:half] + rest == whole
    with pytest.raises(httpx.RemoteProtocolError):
        server.get(f"/v1/export?{received}&had={half}&had_sha256={'0' * 64}")


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        (f"/v1/export?{SINCE}", 400, "bad-parameter"),
        (f"/v1/export?{SINCE}&to=2999-01-01T00:00:00Z", 409, "uncertifiable"),
        (f"/v1/export?{SINCE}&to=2021-01-01T00:00:00Z&had=5", 400, "bad-parameter"),
        (f"/v1/export?{SINCE}&to=2021-01-01T00:00:00Z&outcome=good", 400, "bad-parameter"),
        (f"/v1/export/receipt?{SINCE}&to=2021-01-01T00:00:00Z&had=5", 400, "unknown-parameter"),
    ],
)
def test_what_cannot_be_exported_is_a_problem(
    server: Running, path: str, status: int, kind: str
) -> None:
    answer = server.get(path)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")

"""GET /v1/events/export: every event that matches, in each kind of file, a page at a time."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest

from holdfast.serve import files, parameters
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

"""What an outsider asks a server for: checkpoints, and proofs that ledgers grew."""

import pytest

from holdfast.proof import merkle, names, note, statements
from holdfast.proof.note import VerifierKey
from tests.serve.running import EVENT, Running


def shown(server: Running) -> note.Checkpoint:
    """The living node's checkpoint, verified with nothing but the trail's id."""
    answer = server.get("/v1/checkpoints").json()
    trail = server.system.regions.trail
    assert (answer["trail"], answer["enough"], answer["conflicts"]) == (trail, True, [])
    for each in answer["checkpoints"]:
        said = statements.verify_certificate(each["certificate"].encode(), trail).statement
        assert each["origin"] == names.ledger_origin(trail, said.node)
        return note.verify_checkpoint(
            each["note"].encode(), VerifierKey(each["origin"], said.node_key)
        )
    return note.Checkpoint("", 0, merkle.EMPTY_ROOT)


def test_a_ledger_is_shown_to_have_grown(server: Running) -> None:
    server.post(EVENT)
    server.wait_until(lambda: shown(server).size > 0)
    old = shown(server)
    server.post(EVENT)
    server.post(EVENT)
    server.wait_until(lambda: shown(server).size > old.size)
    new = shown(server)

    between = f"/v1/consistency?origin={new.origin}&old={old.size}"
    answer = server.get(f"{between}&new={new.size}").json()
    beyond = server.get(f"{between}&new=99999").json()

    hashes = [note.decode_base64(each) for each in answer["hashes"]]
    merkle.verify_consistency(old.size, old.root, new.size, new.root, hashes)
    assert beyond["hashes"] is None and beyond["missing"] >= new.size


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("old=1&new=2", "origin"),
        ("origin=x&old=1&new=2", "origin"),
        (f"origin=holdfast/{'0' * 32}/{'0' * 32}&old=1&new=2", "origin"),
        ("origin=O&new=2", "old"),
        ("origin=O&old=1", "new"),
        ("origin=O&old=2&new=1", "new"),
        ("origin=O&old=-1&new=1", "old"),
        ("origin=O&old=01&new=1", "old"),
    ],
)
def test_a_question_for_consistency_that_makes_no_sense_names_what(
    server: Running, query: str, field: str
) -> None:
    assert server.system.node is not None
    origin = server.system.node.identity.key.name

    answer = server.get("/v1/consistency?" + query.replace("=O&", f"={origin}&"))

    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == [field]

"""A witness against the rules of c2sp.org/tlog-witness, over logs of others and of its own."""

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdfast.errors import CorruptError, UnavailableError
from holdfast.proof import MalformedError, SignatureError, merkle, note
from holdfast.proof.note import Checkpoint, VerifierKey
from holdfast.prove import paths
from holdfast.regions.cosignature import WitnessKey, cosigned, cosigned_at
from holdfast.regions.disk import PosixDisk
from holdfast.regions.signing import SigningKey, sign
from holdfast.witness.request import RefusedError, Request, parse
from holdfast.witness.service import Witness
from holdfast.witness.state import State, name_of
from tests.regions.worlds import RecordingDisk, SwiftDisk, at_once

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
TESSERA = VECTORS / "tlog_tiles" / "tessera_testdata_log"
LOG = SigningKey.generate("example.com/log", bytes(range(32)))
KEY = SigningKey.generate("witness.example/w1", b"w" * 32)
NOW_S = 1_800_000_000
LEAVES = [merkle.leaf_hash(bytes([n])) for n in range(20)]


def checkpoint(size: int, root: bytes | None = None, key: SigningKey = LOG) -> bytes:
    tree = merkle.root(LEAVES[:size]) if root is None else root
    return sign(Checkpoint(key.name, size, tree).text, key)


def request(old: int, new: int, data: bytes | None = None) -> bytes:
    data = checkpoint(new) if data is None else data
    path = paths.consistency_path(LEAVES[:new], min(old, new))
    return Request(old, path, data, note.parse_checkpoint(note.parse(data).text)).body()


def witness(path: Path, disk: PosixDisk | None = None, *logs: VerifierKey) -> Witness:
    known = {key.name: (key,) for key in logs or (LOG.verifier,)}
    return Witness(State(path, disk or SwiftDisk()), KEY, lambda: known, lambda: NOW_S, at_once)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Witness]:
    made = witness(tmp_path / "state")
    yield made
    made._state.close()


def asked(app: Witness, body: bytes, path: str = "/add-checkpoint", method: str = "POST") -> Any:
    """Status, content type and body, as HTTP has them."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": method, "path": path}, receive, send))
    headers = dict(sent[0]["headers"])
    return sent[0]["status"], headers[b"content-type"].decode(), sent[1]["body"]


def test_a_checkpoint_is_cosigned_over_its_text_and_the_time(fresh: Witness) -> None:
    data = checkpoint(5)

    status, _, line = asked(fresh, request(0, 5, data))

    assert status == 200
    signed = note.verify(data + line, [WitnessKey(KEY.name, KEY.public)])
    assert cosigned_at(signed.signatures[0].signature) == NOW_S
    # The same by hand, as the specification words it.
    dash, name, encoded = line.decode().removesuffix("\n").split(" ")
    raw = base64.b64decode(encoded)
    text = data.decode().split("\n\n")[0] + "\n"
    assert (dash, name) == ("—", KEY.name)
    assert raw[:4] == hashlib.sha256(KEY.name.encode() + b"\n\x04" + KEY.public).digest()[:4]
    assert int.from_bytes(raw[4:12], "big") == NOW_S
    message = f"cosignature/v1\ntime {NOW_S}\n{text}".encode()
    Ed25519PublicKey.from_public_bytes(KEY.public).verify(raw[12:], message)


def test_a_log_is_followed_step_by_step_and_every_stale_step_is_told_the_size(
    fresh: Witness,
) -> None:
    luck = random.Random(3)
    last = 0
    for _ in range(40):
        old, new = luck.randrange(20), luck.randrange(20)
        status, kind, body = asked(fresh, request(old, new))

        if old > new:
            assert status == 400
        elif old != last:
            assert (status, kind, body) == (409, "text/x.tlog.size", f"{last}\n".encode())
        else:
            assert status == 200
            last = new


def test_what_is_no_growth_is_refused_and_changes_nothing(fresh: Witness) -> None:
    asked(fresh, request(0, 4))
    good = request(4, 8)
    first, _, rest = good.partition(b"\n")
    bad = {
        "another root": request(4, 8, checkpoint(8, bytes(32))),
        "another root of the same size": request(4, 4, checkpoint(4, bytes(32))),
        "no proof": request(4, 8).replace(b"\n".join(good.split(b"\n")[1:2]) + b"\n", b"", 1),
        "a proof from 0": b"old 0\n" + rest,
    }

    statuses = {name: asked(fresh, body)[0] for name, body in bad.items()}

    assert statuses == dict.fromkeys(bad, 422) | {"a proof from 0": 409}
    assert first == b"old 4" and asked(fresh, good)[0] == 200


def test_a_proof_from_nothing_must_be_empty_and_an_empty_tree_has_its_root(
    fresh: Witness,
) -> None:
    proof = request(0, 4).replace(b"old 0\n", b"old 0\n" + base64.b64encode(bytes(32)) + b"\n", 1)

    assert asked(fresh, proof)[0] == 422
    assert asked(fresh, request(0, 0, checkpoint(0, bytes(32))))[0] == 422
    assert asked(fresh, request(0, 0))[0] == 200


def test_who_is_not_trusted_is_refused(fresh: Witness) -> None:
    other = SigningKey.generate("example.com/other", b"o" * 32)
    forger = SigningKey.generate(LOG.name, b"f" * 32)
    good = checkpoint(4).decode()
    line = good.splitlines()[-1]
    bent = good.replace(line, line[:-4] + ("AAA=" if line[-4:] != "AAA=" else "BBB="))

    assert asked(fresh, request(0, 4, checkpoint(4, key=other)))[0] == 404
    assert asked(fresh, request(0, 4, checkpoint(4, key=forger)))[0] == 403
    assert asked(fresh, request(0, 4, bent.encode()))[0] == 403


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"\n\n",
        b"old 01\n\n" + checkpoint(4),
        b"old -1\n\n" + checkpoint(4),
        b"older 0\n\n" + checkpoint(4),
        b"old 0\nnot base64\n\n" + checkpoint(4),
        b"old 0\n\nnot a note",
        b"old 0\n" + 64 * (base64.b64encode(bytes(32)) + b"\n") + b"\n" + checkpoint(4),
        b"old 0\n\n" + sign("example.com/log\nx\n", LOG),
        b"\xff",
    ],
)
def test_what_is_no_request_is_named(fresh: Witness, body: bytes) -> None:
    assert asked(fresh, body)[0] == 400


def test_a_body_without_end_is_cut_off(fresh: Witness) -> None:
    assert asked(fresh, bytes(200_000))[0] == 413


def test_what_was_cosigned_can_be_looked_at(fresh: Witness) -> None:
    where = f"/{hashlib.sha256(LOG.name.encode()).hexdigest()}/checkpoint"

    before = asked(fresh, b"", where, "GET")[0]
    asked(fresh, request(0, 3))
    status, _, data = asked(fresh, b"", where, "GET")

    assert (before, status) == (404, 200)
    keys = [LOG.verifier, WitnessKey(KEY.name, KEY.public)]
    assert len(note.verify(data, keys).signatures) == 2
    assert asked(fresh, b"", "/../checkpoint", "GET")[0] == 404
    assert asked(fresh, b"", "/add-checkpoint", "GET")[0] == 405


def test_it_remembers_over_a_restart(tmp_path: Path) -> None:
    first = witness(tmp_path)
    asked(first, request(0, 7))
    with pytest.raises(UnavailableError, match="another witness"):
        State(tmp_path, SwiftDisk())
    first._state.close()

    again = witness(tmp_path)

    assert asked(again, request(0, 9))[2] == b"7\n"
    assert asked(again, request(7, 9))[0] == 200
    again._state.close()


@pytest.mark.parametrize("call", ["create", "write", "fsync", "rename"])
def test_nobody_is_answered_before_the_state_is_durable(tmp_path: Path, call: str) -> None:
    disk = RecordingDisk()
    app = witness(tmp_path, disk)
    asked(app, request(0, 2))
    name = f"{name_of(LOG.name)}.note"
    path = name if call == "rename" else f"{name}.unfinished"
    disk.fail[call, path] = OSError(5, "input/output error")

    status = asked(app, request(2, 5))[0]
    told = asked(app, request(0, 5))

    assert status == 500
    assert told[0] == 409 and told[2] == b"2\n"
    app._state.close()


def test_a_state_is_synced_then_renamed_then_its_directory_is_synced(tmp_path: Path) -> None:
    disk = RecordingDisk()
    app = witness(tmp_path, disk)
    disk.log.clear()

    asked(app, request(0, 2))

    done = [call for call, _ in disk.log if call in ("write", "fsync", "rename")]
    assert done == ["write", "fsync", "rename", "fsync"]
    app._state.close()


def test_a_damaged_state_cosigns_nothing(tmp_path: Path) -> None:
    app = witness(tmp_path)
    asked(app, request(0, 2))
    (tmp_path / f"{name_of(LOG.name)}.note").write_bytes(b"")

    assert asked(app, request(0, 3))[0] == 500
    with pytest.raises(CorruptError):
        app._state.last(LOG.name)
    app._state.close()


def test_a_log_of_others_is_followed_through_all_its_published_checkpoints(
    tmp_path: Path,
) -> None:
    key = VerifierKey.parse((TESSERA / "log_key.vkey").read_text().strip())
    published = {n: (TESSERA / f"checkpoint.{n}").read_bytes() for n in range(1, 16)}
    entries = _entries()
    app = witness(tmp_path, None, key)

    statuses = []
    for old, new in zip(range(15), range(1, 16), strict=True):
        path = paths.consistency_path(entries[:new], old)
        parsed = note.parse_checkpoint(note.parse(published[new]).text)
        statuses.append(asked(app, Request(old, path, published[new], parsed).body())[0])
    again = Request(15, (), published[9], note.parse_checkpoint(note.parse(published[9]).text))

    assert statuses == [200] * 15
    assert asked(app, again.body())[0] == 400
    app._state.close()


def _entries() -> list[bytes]:
    """Leaf hashes, from the largest entry bundle: entries behind their length in two bytes."""
    bundles = sorted((TESSERA / "tile" / "entries").rglob("*"), key=lambda p: p.is_file())
    data = max((p.read_bytes() for p in bundles if p.is_file()), key=len)
    leaves, at = [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        leaves.append(merkle.leaf_hash(data[at + 2 : at + 2 + size]))
        at += 2 + size
    return leaves


def test_published_consistency_proofs_are_judged_as_published(tmp_path: Path) -> None:
    cases = json.loads((VECTORS / "merkle" / "consistency.json").read_text())
    judged = 0
    for number, case in enumerate(cases):
        old, new = case["size1"], case["size2"]
        roots = [base64.b64decode(case[name] or "") for name in ("root1", "root2")]
        path = tuple(base64.b64decode(each) for each in case["proof"] or ())
        sane = 0 < old <= new < 2**63 and all(len(each) == 32 for each in (*roots, *path))
        if not sane or (old == new and case["wantErr"] and roots[0] == roots[1] and not path):
            continue
        app = witness(tmp_path / str(number))
        first = checkpoint(old, roots[0])
        asked(app, Request(0, (), first, note.parse_checkpoint(note.parse(first).text)).body())
        second = checkpoint(new, roots[1])
        parsed = note.parse_checkpoint(note.parse(second).text)

        status = asked(app, Request(old, path, second, parsed).body())[0]

        assert status == (422 if case["wantErr"] else 200), case["case"]
        judged += 1
        app._state.close()
    assert judged > 20


def test_a_published_witness_key_and_a_published_cosignature_are_read() -> None:
    vkey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
    signature = base64.b64decode(
        "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFi"
        "EBYJXORmnFBOBA=="
    )[4:]

    assert WitnessKey.parse(vkey).text == vkey
    assert cosigned_at(signature) == 1727964367
    with pytest.raises(MalformedError):
        VerifierKey.parse(vkey)  # a witness's key is no log's
    with pytest.raises(MalformedError):
        cosigned_at(signature[8:])


def test_a_cosignature_of_another_time_or_text_does_not_hold() -> None:
    data = checkpoint(3)
    key = WitnessKey(KEY.name, KEY.public)
    line = f"— {KEY.name} "
    made = NOW_S.to_bytes(8) + KEY.private.sign(cosigned(b"x\n", NOW_S))

    for wrong in (made, made[:-1], bytes(72)):
        text = line + note.encode_base64(key.id + wrong) + "\n"
        with pytest.raises((SignatureError, MalformedError)):
            note.verify(data + text.encode(), [key])


def test_a_request_is_read_as_it_was_written() -> None:
    data = checkpoint(9)
    made = Request(
        4, (bytes(32), bytes([1]) * 32), data, note.parse_checkpoint(note.parse(data).text)
    )

    assert parse(made.body()) == made
    with pytest.raises(RefusedError):
        parse(made.body()[:-200])

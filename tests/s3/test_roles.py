"""The rights that docs/REGIONS.md gives to who writes and who reads are enough, and no more."""

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from holdfast.regions.buckets import Access, open_client, parse_bucket
from holdfast.regions.port import Unknown
from tests.e2e.server import Server, holdfast
from tests.nemesis.cluster import REGIONS
from tests.s3.ceph import CephRegion
from tests.s3.cluster import INTERVALS
from tests.s3.locked import plain_store

pytestmark = [pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(180)]

PAGE = (Path(__file__).parents[2] / "docs" / "REGIONS.md").read_text("utf-8")
ROLE, BUCKETS_OWN = (
    json.loads(text)["Statement"]
    for text in re.findall(r"^```json\n((?:.*\n)+?)```$", PAGE, re.MULTILINE)[:2]
)
DOCUMENTED = "acme-audit-a"


def test_writer_and_reader_can_do_their_work_and_nobody_can_delete(
    cephs: Mapping[str, CephRegion], tmp_path: Path
) -> None:
    ceph = cephs["a"]
    writer, reader = ceph.user("writer"), ceph.user("reader")
    urls = {id: f"{ceph.bucket(f'roles-{id}')}/holdfast" for id in REGIONS}
    clients = {
        id: open_client(parse_bucket(url), ceph.access, 5.0, int) for id, url in urls.items()
    }
    for id, owner in clients.items():
        _allow(owner, f"roles-{id}")
    server = Server(tmp_path / "data", _settings(tmp_path / "writer.toml", urls, writer))

    server.start()
    try:
        sent = server.send("under.a.role")["ids"]
        server.caught_up(server.get(f"/v1/events/{sent[0]}")["events"][0]["received"])
    finally:
        server.close()
    config = _settings(tmp_path / "reader.toml", urls, reader)
    read = ("--config", str(config), "--data", str(tmp_path / "reader"))
    found = holdfast("search", *read, "--action", "under.a.role", "--ndjson")
    verified = holdfast("verify", "--depth", "events", *read)
    written = asyncio.run(plain_store(urls["a"], reader).create("ev/new", b""))
    overwritten = asyncio.run(plain_store(urls["a"], reader).replace("ctl/new", b""))

    assert [json.loads(line)["id"] for line in found.splitlines()] == sent
    assert verified.splitlines()[-1].startswith("GOOD")
    for outcome in (written, overwritten):
        assert isinstance(outcome, Unknown) and outcome.permanent
        assert outcome.reason.startswith("403 Forbidden: AccessDenied")
    for access in (writer, reader, ceph.access):
        client: Any = open_client(parse_bucket(urls["a"]), access, 5.0, int)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(Bucket="roles-a", Key="holdfast/ev/region.note")


def _allow(client: Any, bucket: str) -> None:
    """The role's statements, as a bucket's policy names who has them; and that nobody deletes."""
    users = {"List": ["writer", "reader"], "Read": ["writer", "reader"], "Write": ["writer"]}
    allowed = [
        {
            **each,
            "Principal": {"AWS": [f"arn:aws:iam:::user/{user}" for user in users[each["Sid"]]]},
        }
        for each in ROLE
    ]
    denied = [each for each in BUCKETS_OWN if each["Sid"] == "NothingIsDeleted"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed + denied})
    client.put_bucket_policy(Bucket=bucket, Policy=policy.replace(DOCUMENTED, bucket))


def _settings(path: Path, urls: Mapping[str, str], access: Access) -> Path:
    tables = (
        f'[regions.{id}]\nurl = "{url}"\nendpoint = "{access.endpoint}"\n'
        f'credentials_file = "{access.credentials_file}"\n'
        for id, url in urls.items()
    )
    path.write_text(INTERVALS + "".join(tables))
    return path

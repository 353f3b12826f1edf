"""How a URL and what stands beside it become a store of a vendor's, and what is refused."""

import asyncio
import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from holdfast.regions.buckets import Access, Bucket, open_bucket, parse_bucket, uri_of, why_unfit
from holdfast.regions.cloud import CloudStore
from holdfast.regions.port import Stored, Unknown
from tests.client.scripted import Reply, serving

NOW_US = 1_795_514_400_000_000
NOBODY = "http://localhost:1"  # nobody listens there


def opened(url: str, access: Access) -> object:
    return open_bucket(parse_bucket(url), access, 5.0, lambda: NOW_US)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://trail", Bucket("s3", "trail", "")),
        ("s3://trail/", Bucket("s3", "trail", "")),
        ("gs://my.trail/audit/eu-1/", Bucket("gs", "my.trail", "audit/eu-1")),
        ("az://trail/Audit", Bucket("az", "trail", "Audit")),
    ],
)
def test_a_url_names_a_bucket_and_a_prefix(url: str, expected: Bucket) -> None:
    assert parse_bucket(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        *("s3://", "s3:///prefix", "trail", "https://trail", "s3://Trail", "s3://key@trail"),
        *("s3://trail:9000", "s3://trail?x=1", "s3://trail/a//b", "s3://trail/../b", "s3://t/a b"),
    ],
)
def test_what_names_no_bucket_is_refused_with_the_url(url: str) -> None:
    with pytest.raises(ValueError, match="is '"):
        parse_bucket(url)


@pytest.mark.parametrize(
    ("scheme", "access", "reason"),
    [
        ("file", Access(endpoint=NOBODY), "endpoint is of s3://, gs://, az:// only"),
        ("gs", Access(s3_region="eu-central-1"), "s3_region is of s3:// only"),
        ("az", Access(account="a", credentials_file="/x"), "credentials_file is of s3://, gs://"),
        ("az", Access(), "account must name the storage account"),
        ("s3", Access(endpoint="store:9000"), "endpoint must be https://"),
        ("s3", Access(endpoint="https://key:secret@store"), "endpoint must be https://"),
        ("s3", Access(endpoint="https://store/path"), "endpoint must be https://"),
        ("s3", Access(endpoint="https://store:99999"), "endpoint must be https://"),
        ("s3", Access(endpoint="http://127.0.0.1:1", path_style=False), "path_style = false needs"),
    ],
)
def test_what_means_nothing_to_a_vendor_is_refused(
    scheme: str, access: Access, reason: str
) -> None:
    assert why_unfit(scheme, access).startswith(reason)


def test_what_fits_is_not_refused() -> None:
    assert why_unfit("file", Access()) == ""
    assert why_unfit("s3", Access(endpoint="https://store:9000/", path_style=False)) == ""
    assert why_unfit("az", Access(account="holdfast")) == ""


def test_each_vendor_has_its_own_store() -> None:
    s3 = opened("s3://trail/x", Access(s3_region="eu-central-1"))
    gcs = opened("gs://trail/x", Access(endpoint=NOBODY))
    azure = opened("az://trail/x", Access(account="holdfast"))

    assert isinstance(s3, S3Store) and s3.config["region"] == "eu-central-1"
    assert isinstance(gcs, GCSStore) and gcs.prefix == "x"
    assert isinstance(azure, AzureStore) and azure.config["account_name"] == "holdfast"


@pytest.mark.parametrize(
    ("path_style", "where"),
    [(True, "//localhost:1/trail/x/ev"), (False, "//trail.localhost:1/x/ev")],
)
def test_the_regions_own_endpoint_goes_before_the_environments(
    monkeypatch: pytest.MonkeyPatch, path_style: bool, where: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.2:2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.2:2")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    access = Access(endpoint=NOBODY, path_style=path_style)

    with pytest.raises(obstore.exceptions.BaseError, match=where):
        obstore.get(opened("s3://trail/x", access), "ev")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "condition"),
    [
        ("s3://trail/x", ("if-none-match", "*")),
        ("gs://trail/x", ("x-goog-if-generation-match", "0")),
        ("az://trail/x", ("if-none-match", "*")),
    ],
)
def test_a_create_carries_the_vendors_own_condition_and_a_replace_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str, condition: tuple[str, str]
) -> None:
    scheme = url[:2]
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", base64.b64encode(b"key").decode())

    async def story(access: Access) -> list[object]:
        store = CloudStore(lambda: open_bucket(parse_bucket(url), access, 5.0, lambda: NOW_US))
        return [await store.create("ev/x", b"1"), await store.replace("ctl/x", b"2")]

    with serving(then=lambda _: Reply(201, b"", {"ETag": '"1"'})) as server:
        access = {
            "s3": Access(endpoint=server.url, credentials_file=aws_file(tmp_path)),
            "gs": Access(endpoint=server.url, credentials_file=gcs_file(tmp_path)),
            "az": Access(endpoint=server.url, account="holdfast"),
        }
        outcomes = asyncio.run(story(access[scheme]))

    created, replaced = server.requests
    assert outcomes == [Stored(), Stored()]
    assert created.headers[condition[0]] == condition[1]
    assert condition[0] not in replaced.headers
    assert "authorization" in created.headers
    assert scheme != "s3" or "x-amz-checksum-sha256" in created.headers


def aws_file(folder: Path) -> str:
    file = folder / "credentials"
    file.write_text("[default]\naws_access_key_id = k\naws_secret_access_key = s\n")
    return str(file)


def gcs_file(folder: Path) -> str:
    """A service account's key, as Google's console hands it out."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    account = {"type": "service_account", "client_email": "holdfast@example.iam", "client_id": "1"}
    file = folder / "account.json"
    file.write_text(json.dumps({**account, "private_key": key.decode(), "private_key_id": "1"}))
    return str(file)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cannot be read"),
        ("no section", "cannot be read"),
        ("[other]\n", r"has no a for \[a\]"),
        ("[a]\naws_access_key_id = x\n", r"has no aws_secret_access_key for \[a\]"),
    ],
)
def test_bad_credentials_make_one_region_unknown_and_name_the_file(
    tmp_path: Path, text: str | None, reason: str
) -> None:
    file = tmp_path / "credentials"
    if text is not None:
        file.write_text(text)
    access = Access(endpoint=NOBODY, credentials_file=str(file), profile="a")
    store = CloudStore(lambda: open_bucket(parse_bucket("s3://trail"), access, 5.0, lambda: NOW_US))

    answer = asyncio.run(store.create("ev/x", b""))

    assert isinstance(answer, Unknown) and answer.permanent
    assert re.search(f"{file} {reason}", answer.reason)


def test_a_profile_is_read_again_in_time(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[a]\naws_access_key_id = k\naws_secret_access_key = s%1\n")
    store = opened("s3://trail", Access(credentials_file=str(file), profile="a"))

    assert isinstance(store, S3Store) and store.credential_provider is not None
    credentials = store.credential_provider()

    assert credentials == {
        "access_key_id": "k",
        "secret_access_key": "s%1",
        "token": None,
        "expires_at": datetime.fromtimestamp(NOW_US // 1_000_000 + 300, UTC),
    }


def test_a_store_that_cannot_be_opened_yet_is_unknown_and_tried_again() -> None:
    attempts = iter([OSError("no such file"), None])

    def open_store() -> MemoryStore:
        if error := next(attempts):
            raise error
        return MemoryStore()

    store = CloudStore(open_store)

    async def story() -> list[object]:
        return [await store.create("ev/x", b""), await store.create("ev/x", b"")]

    first, second = asyncio.run(story())

    assert first == Unknown("OSError: no such file")
    assert second == Stored()


@pytest.mark.parametrize(
    ("url", "account", "uri"),
    [
        ("file:///srv/my%20trail/a/", "", "file:///srv/my trail/a"),
        ("s3://acme-audit/holdfast", "", "s3://acme-audit/holdfast"),
        ("gs://acme-audit", "", "gs://acme-audit"),
        ("az://audit/x", "acme", "abfss://audit@acme.dfs.core.windows.net/x"),
    ],
)
def test_engines_are_told_a_place_as_they_know_it(url: str, account: str, uri: str) -> None:
    assert uri_of(url, account) == uri

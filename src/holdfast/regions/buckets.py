"""Where a region in the cloud lies, and how it is reached: s3://, gs:// and az:// by obstore.

Credentials come from where each vendor's own tools look for them, or from a file in the vendor's
own format; never from our settings, which are shown and copied about. For S3: `AWS_ACCESS_KEY_ID`
and `AWS_SECRET_ACCESS_KEY`, a web identity, a container's or an instance's role, or a shared
credentials file. For GCS: a service account's or an application's file, or the metadata server. For
Azure: `AZURE_STORAGE_ACCOUNT_KEY`, a SAS token, a service principal, a managed identity.
"""

import re
from collections.abc import Callable
from configparser import ConfigParser, Error
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from holdfast.regions.versions import Client

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Credential

S3, GCS, AZURE = "s3", "gs", "az"
CONNECT_SECONDS_MAX: Final = 2.0
# A file of credentials is read again this often, so that new keys need no restart.
CREDENTIALS_SECONDS: Final = 300
S3_REGION_DEFAULT: Final = "us-east-1"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]")
# Strict: a host that is none makes obstore panic.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-f:]+\]"
_ENDPOINT = re.compile(rf"https?://(?P<host>{_HOST})(:(?P<port>[0-9]{{1,5}}))?/?")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


class Access(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a region's buckets are reached; what is left open is the vendor's own default.

    endpoint: where the store answers, if not at the vendor's own address; http:// is plain.
    s3_region: the name that requests to S3 are signed for. path_style: False: the bucket's name is
    a part of the host's. account: Azure's storage account. credentials_file: in the vendor's own
    format; profile: the section of an S3 one. object_lock: the bucket of the evidence keeps every
    version (see `worm`).
    """

    endpoint: str = ""
    s3_region: str = ""
    path_style: bool = True
    account: str = ""
    credentials_file: str = ""
    profile: str = "default"
    object_lock: bool = False


class Bucket(Struct, frozen=True):
    """A bucket, which Azure calls a container, or a prefix in one: "" or parts without a last /."""

    scheme: str
    name: str
    prefix: str


def parse_bucket(url: str) -> Bucket:
    """Read s3://bucket/prefix, gs://bucket/prefix or az://container/prefix.

    Raises:
        ValueError: it is none; why.
    """
    parts = urlsplit(url)
    if parts.scheme not in (S3, GCS, AZURE):
        raise ValueError(f"must be file:///..., s3://..., gs://... or az://..., is {url!r}")
    if not _NAME.fullmatch(parts.netloc) or parts.query or parts.fragment:
        raise ValueError(f"must name a bucket, as {parts.scheme}://bucket/prefix, is {url!r}")
    prefix = parts.path.strip("/")
    if prefix and (not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/"))):
        raise ValueError(f"a prefix is parts of A-Z, a-z, 0-9, . _ and -, is {url!r}")
    return Bucket(parts.scheme, parts.netloc, prefix)


def uri_of(url: str, account: str) -> str:
    """The same place as engines for large data are told it. account: of Azure. Pure."""
    parts = urlsplit(url)
    path = unquote(parts.path).rstrip("/")
    if parts.scheme == AZURE:
        return f"abfss://{parts.netloc}@{account}.dfs.core.windows.net{path}"
    return f"{parts.scheme}://{parts.netloc}{path}"


def why_unfit(scheme: str, access: Access) -> str:
    """What of the access means nothing to such a store, or is missing; "" if nothing is. Pure."""
    belongs = {
        "endpoint": (S3, GCS, AZURE),
        "s3_region": (S3,),
        "path_style": (S3,),
        "account": (AZURE,),
        "credentials_file": (S3, GCS),
        "profile": (S3,),
        "object_lock": (S3,),
    }
    default = Access()
    for key, schemes in belongs.items():
        if getattr(access, key) != getattr(default, key) and scheme not in schemes:
            told = ", ".join(f"{each}://" for each in schemes)
            return f"{key} is of {told} only, and the url is {scheme}://"
    at = _ENDPOINT.fullmatch(access.endpoint)
    if access.endpoint and (at is None or int(at["port"] or 0) > 65535):
        return f"endpoint must be https://host or https://host:port, is {access.endpoint!r}"
    if at and not access.path_style and re.fullmatch(r"[0-9.]+|\[.*", at["host"]):
        return "path_style = false needs an endpoint with a name: a bucket goes before it"
    if scheme == AZURE and not access.account:
        return "account must name the storage account of an az:// url"
    return ""


def open_bucket(
    bucket: Bucket, access: Access, timeout_seconds: float, now_us: Callable[[], int]
) -> "ObjectStore":
    """Make obstore's object. Nothing is asked of the store yet; own retries are off.

    Raises:
        Exception: of any kind, as obstore pleases: a file that is not there or not understood.
    """
    from obstore.store import AzureStore, GCSStore, S3Store

    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout_seconds),
        "connect_timeout": timedelta(seconds=min(CONNECT_SECONDS_MAX, timeout_seconds)),
        "allow_http": access.endpoint.startswith("http://"),
    }
    retry: RetryConfig = {"max_retries": 0, "retry_timeout": timedelta(seconds=timeout_seconds)}
    made: dict[str, Any] = {
        "prefix": bucket.prefix or None,
        "client_options": client,
        "retry_config": retry,
    }
    endpoint = access.endpoint.rstrip("/")
    if bucket.scheme == S3:
        return S3Store(bucket.name, **made, **_s3(bucket, access, now_us))
    if bucket.scheme == GCS:
        if access.credentials_file:
            made["application_credentials"] = access.credentials_file
        if endpoint:
            made["base_url"] = endpoint
        return GCSStore(bucket.name, **made)
    if endpoint:
        made["endpoint"] = endpoint
    return AzureStore(bucket.name, account_name=access.account, **made)


def _s3(bucket: Bucket, access: Access, now_us: Callable[[], int]) -> dict[str, Any]:
    """The checksum makes the store refuse what was damaged on its way; Object Lock demands one."""
    made: dict[str, Any] = {
        "checksum_algorithm": "sha256",
        "virtual_hosted_style_request": not access.path_style,
    }
    if access.s3_region:
        made["region"] = access.s3_region
    if access.endpoint:
        scheme, _, host = access.endpoint.rstrip("/").partition("://")
        at = f"{scheme}://{host}" if access.path_style else f"{scheme}://{bucket.name}.{host}"
        # Both, or AWS_ENDPOINT_URL_S3 would send all regions to one and the same place.
        made |= {"endpoint": at, "aws_endpoint_url_s3": at}
    if access.credentials_file:
        path, profile = Path(access.credentials_file), access.profile
        made["credential_provider"] = lambda: _read_credentials(path, profile, now_us())
    return made


def open_client(
    bucket: Bucket, access: Access, timeout_seconds: float, now_us: Callable[[], int]
) -> Client:
    """Make botocore's client, for what obstore cannot ask of the same S3 bucket. As `open_bucket`.

    Raises:
        Exception: of any kind.
    """
    from botocore.config import Config
    from botocore.session import Session

    given: dict[str, Any] = {"region_name": access.s3_region or S3_REGION_DEFAULT}
    if access.endpoint:
        given["endpoint_url"] = access.endpoint
    if access.credentials_file:
        read = _read_credentials(Path(access.credentials_file), access.profile, now_us())
        given["aws_access_key_id"] = read["access_key_id"]
        given["aws_secret_access_key"] = read["secret_access_key"]
        given["aws_session_token"] = read.get("token")
    config = Config(
        connect_timeout=min(CONNECT_SECONDS_MAX, timeout_seconds),
        read_timeout=timeout_seconds,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path" if access.path_style else "virtual"},
    )
    client: Client = Session().create_client("s3", config=config, **given)
    return client


def _read_credentials(path: Path, profile: str, now_us: int) -> "S3Credential":
    """A profile of an AWS shared credentials file.

    Raises:
        ValueError: it cannot be read, or lacks the profile or a key.
    """
    parser = ConfigParser(interpolation=None, default_section="")
    try:
        parser.read_string(path.read_text("utf-8"))
        section = parser[profile]
        return {
            "access_key_id": section["aws_access_key_id"],
            "secret_access_key": section["aws_secret_access_key"],
            "token": section.get("aws_session_token"),
            "expires_at": datetime.fromtimestamp(now_us // 1_000_000 + CREDENTIALS_SECONDS, UTC),
        }
    except KeyError as error:
        raise ValueError(f"{path} has no {error.args[0]} for [{profile}]") from None
    except (OSError, UnicodeDecodeError, Error) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None

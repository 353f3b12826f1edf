"""What files that prove something read off records, and say of those that are missing. Pure."""

import json
import re
from datetime import UTC, datetime, timedelta

from holdfast.proof.errors import MalformedError, MismatchError

TIME_US_MAX = 2**56
_RECEIVED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_1970 = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(us: int) -> str:
    """A time as records have it: these compare as the times do. Raises MalformedError."""
    if us >= TIME_US_MAX:
        raise MalformedError(f"{us} is no time")
    moment = _1970 + timedelta(microseconds=us)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def received_of(record: bytes, tenant: str | None) -> str:
    """When a record says that it was received. tenant: whose it must be; None: anyone's."""
    try:
        found = json.loads(record.decode(), parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise MalformedError("a record is not JSON") from error
    if not isinstance(found, dict) or tenant not in (None, found.get("tenant", "")):
        raise MismatchError("a record is not one of this tenant")
    received = found.get("received")
    if not isinstance(received, str) or not _RECEIVED.fullmatch(received):
        raise MalformedError("a record does not say when it was received")
    return received


def let_go_text(records: int, rule: str) -> str:
    """What is said of records that a rule let go, some of them perhaps of another time."""
    return f"up to {records} records let go by {rule}"

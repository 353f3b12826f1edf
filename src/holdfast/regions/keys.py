"""What a key may look like, in every kind of store. Pure."""

import re

KEY_BYTES_MAX = 512
PART_BYTES_MAX = 240  # a file's name may have 255 bytes in most file systems
TEMPORARY = ".tmp"  # the first part that a directory keeps for itself

_PART = re.compile(r"[0-9a-z._=-]+")
# Objects whose name has the hash of their bytes: others may have them again. No note is among them.
_REMOVABLE = re.compile(r"ev/(seg/.+\.ndjson\.zst|arc/.+\.(ndjson\.zst|parquet))")


def is_part(name: str) -> bool:
    """Whether a name can be one part of a key of ours. Anything else in a store is foreign."""
    return (
        _PART.fullmatch(name) is not None
        and name not in (".", "..")
        and len(name) <= PART_BYTES_MAX
    )


def is_key(key: str) -> bool:
    """Whether a key that lies in a store can be ours."""
    parts = key.split("/")
    return (
        len(key) <= KEY_BYTES_MAX and parts[0] != TEMPORARY and all(is_part(part) for part in parts)
    )


def check_key(key: str) -> None:
    """Refuse a key that no store may hold.

    Raises:
        ValueError: the caller made a mistake; keys never come from outside unchecked.
    """
    if not is_key(key):
        raise ValueError(f"not a key: {key!r}")


def check_removable(key: str) -> None:
    """Refuse a key of anything but segments and objects of the archive: no mistake removes a note.

    Raises:
        ValueError: as `check_key`.
    """
    check_key(key)
    if not _REMOVABLE.fullmatch(key):
        raise ValueError(f"nothing like this is ever removed: {key!r}")


def check_prefix(prefix: str) -> None:
    """Refuse a prefix that is neither "" nor a key's leading parts with their "/".

    Raises:
        ValueError: as `check_key`.
    """
    if prefix and not (prefix.endswith("/") and is_key(prefix[:-1])):
        raise ValueError(f"not a prefix: {prefix!r}")


def check_bytes(data: bytes) -> None:
    """Refuse anything but `bytes`: what could change while it is stored would be stored changed.

    Raises:
        TypeError: the caller made a mistake.
    """
    if type(data) is not bytes:
        raise TypeError(f"only immutable bytes are stored, not {type(data).__name__}")

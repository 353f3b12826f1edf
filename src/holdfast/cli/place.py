"""The settings that a command works under: a file, the environment, then the options."""

import os
from collections.abc import Mapping
from pathlib import Path

from holdfast.cli.source import rejected
from holdfast.regions.disk import PosixDisk
from holdfast.regions.trailkey import FILE_BYTES_MAX, KEY_FILE, TrailKey, parse_trail_key
from holdfast.settings import Settings, load


def settings_of(
    data: Path | None, config: Path | None, flags: Mapping[str, object] | None = None
) -> Settings:
    """The settings in force.

    Raises:
        RejectedError: naming the key, where it comes from and what is wrong with it.
    """
    named = config or _from_environment()
    return load(named, os.environ, {"data": str(data) if data else None, **(flags or {})})


def trail_key_of(settings: Settings) -> TrailKey:
    """The trail's key, where this machine has it.

    Raises:
        RejectedError: it is not here, or is damaged.
    """
    path = settings.data_path / KEY_FILE
    try:
        return read_trail_key(path)
    except FileNotFoundError:
        raise rejected(str(path), "is not there: run this where the trail's key is") from None


def read_trail_key(path: Path) -> TrailKey:
    """The trail's key, as the server reads it.

    Raises:
        RejectedError: damaged. OSError: not there, or not to be read.
    """
    disk = PosixDisk()
    root = disk.open_root(path.parent)
    try:
        return parse_trail_key(disk.read(root, path.name, FILE_BYTES_MAX)[0], str(path))
    finally:
        disk.close(root)


def _from_environment() -> Path | None:
    name = os.environ.get("HOLDFAST_CONFIG", "")
    return Path(name) if name else None

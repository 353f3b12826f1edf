import os
import stat
from pathlib import Path

import pytest

from holdfast.errors import UnavailableError
from holdfast.regions.lock import LOCK_FILE, locked


def test_a_data_directory_that_is_made_is_not_for_everybody_to_read(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with locked(tmp_path / "data" / LOCK_FILE):
            mode = stat.S_IMODE((tmp_path / "data").stat().st_mode)
    finally:
        os.umask(before)

    assert mode == 0o750


def test_a_data_directory_has_one_process_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path / LOCK_FILE):
        with pytest.raises(UnavailableError, match="another process serves from"):
            with locked(tmp_path / LOCK_FILE):
                pass

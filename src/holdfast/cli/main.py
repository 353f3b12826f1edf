"""Where the command `holdfast` begins, and how it ends."""

import contextlib
import os
import sys
from typing import NoReturn


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from holdfast.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("holdfast"):
            raise
        sys.stderr.write(
            f"holdfast: {error.name} is not installed. The command line comes with the server: "
            "install holdfast-audit[server].\n"
        )
        sys.exit(3)  # Python's own 1 would say that something was refuted
    _leave(run(sys.argv[1:]))


def _leave(code: int) -> NoReturn:
    """End the process, and leave the interpreter as it stands.

    A thread of obstore's that has just handed over an answer may still be on its way back when a
    short command is done. It would find an interpreter that is being taken down, and abort the
    process: the answer was printed, and the exit code would say -6.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # told by `guarded`, where it was not to be helped
            stream.flush()
    os._exit(code)

"""Where the command `holdfast` begins."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        from holdfast.cli.app import run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("holdfast"):
            raise
        sys.exit(
            f"holdfast: {error.name} is not installed. The command line comes with the server: "
            "install holdfast-audit[server]."
        )
    sys.exit(run(sys.argv[1:]))

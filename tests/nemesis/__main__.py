"""`python -m tests.nemesis [SEED]`: break real servers for some minutes, then judge them.

Seed 0, or none: one by the clock. The same seed breaks the same things in the same order; what
processes make of it is their own.
"""

import sys
import time

from tests.nemesis.play import play

USAGE = 2


def main(arguments: list[str]) -> int:
    match arguments:
        case []:
            seed = int(time.time())
        case [text] if text.isdecimal():
            seed = int(text) or int(time.time())
        case _:
            say(__doc__ or "")
            return USAGE
    return 1 if play(seed, say) else 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

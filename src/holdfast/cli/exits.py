"""Exit codes, and the one place where errors become them.

    0  good; a search that answered is good, whatever its statement says
    1  refuted: something was changed or is corrupt
    2  bad usage or input
    3  could not be checked or reached
    4  incomplete (only where a command says so: `completeness`, `reconcile`, `verify`,
       `checkpoint`, `report`)

"Broken" and "could not look" are never the same code, so whatever goes wrong unexpectedly is a 3
too: Python's own 1 would say that the trail was refuted.
"""

import functools
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Final

from holdfast.cli import printer
from holdfast.client import ClientError, CutShortError, RefusedError
from holdfast.errors import CorruptError, HeldError, HoldfastError, RejectedError
from holdfast.proof import ProofError

GOOD: Final = 0
REFUTED: Final = 1
BAD_INPUT: Final = 2
UNREACHED: Final = 3
INCOMPLETE: Final = 4
INTERRUPTED: Final = 130

_LINES_MAX = 20


def code_of(error: Exception) -> int:
    """The exit code that an error ends a command with."""
    match error:
        case CutShortError():
            return code_of(error.cause)
        case RefusedError(kind="corrupt"):
            return REFUTED
        case RefusedError():
            return BAD_INPUT if error.status < 500 else UNREACHED
        case RejectedError(kind="uncertified" | "retired"):
            return UNREACHED  # another node may write, or this one once admitted: nothing is wrong
        case RejectedError() | HeldError():
            return BAD_INPUT
        case CorruptError() | ProofError():
            return REFUTED
    return UNREACHED


def worst(codes: Iterable[int]) -> int:
    """Of several codes the one to end with: 1 before 3 before 4 before 2."""
    order = (GOOD, BAD_INPUT, INCOMPLETE, UNREACHED, REFUTED)
    return max(codes, key=order.index, default=GOOD)


def text_of(error: Exception) -> str:
    """What to tell a person; what is wrong where comes on lines of its own."""
    match error:
        case RejectedError():
            found = [str(problem) for problem in error.problems]
        case RefusedError() if error.faults:
            found = [str(fault) for fault in error.faults]
        case OSError() if error.strerror:
            named = f"{error.filename}: " if error.filename else ""
            return f"{named}{error.strerror}"
        case _:
            return str(error) or type(error).__name__
    more = [f"and {len(found) - _LINES_MAX} more"] if len(found) > _LINES_MAX else []
    return "; ".join([*found[:_LINES_MAX], *more])


def guarded(function: Callable[..., int]) -> Callable[..., int]:
    """A verb whose errors are told in a line, and whose exit code always means something."""

    @functools.wraps(function)
    def run(*arguments: object, **named: object) -> int:
        try:
            return function(*arguments, **named)
        except BrokenPipeError:
            # Whoever read our output has enough. Python would complain once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return GOOD
        except KeyboardInterrupt:
            return INTERRUPTED
        except UnicodeEncodeError:  # what is no UTF-8 outside holds half surrogates in here
            texts = [text for text in map(ascii, sys.argv) if "\\udc" in text]
            what = ", ".join(texts) or "a variable of the environment"
            printer.failure(f"{what}: is not UTF-8")
            return BAD_INPUT
        except (HoldfastError, ClientError, ProofError, OSError) as error:
            printer.failure(text_of(error))
            return code_of(error)
        except Exception:
            printer.note(traceback.format_exc())
            printer.failure("this is a mistake of Holdfast itself; please report the lines above")
            return UNREACHED

    return run

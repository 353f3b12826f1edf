"""How the answer is wanted: the option groups of the verbs that show events."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from holdfast.cli.source import rejected


@dataclass(frozen=True)
class Output:
    """For a person, or for a program."""

    json: Annotated[bool, Option("--json", help="One JSON object, the statement with it.")] = False
    ndjson: Annotated[
        bool, Option("--ndjson", help="Events, a line each; the statement on standard error.")
    ] = False

    def check(self) -> None:
        """Refuse both at once.

        Raises:
            RejectedError: both are given.
        """
        if self.json and self.ndjson:
            raise rejected("--json", "and --ndjson are two outputs: choose one")


@dataclass(frozen=True)
class Counting:
    """How many instead of which."""

    count: Annotated[bool, Option("--count", help="Only count.")] = False
    by: Annotated[
        str, Option(metavar="FIELDS", help="Count in groups, such as action,outcome.")
    ] = ""
    bucket: Annotated[
        str,
        Option(metavar="WIDTH", help="Count over time, in bars such as 15m; needs --from, --to."),
    ] = ""

    @property
    def is_wanted(self) -> bool:
        return self.count or bool(self.by or self.bucket)

    def parameters(self) -> dict[str, str]:
        values = {"by": self.by, "bucket": self.bucket}
        return {name: value for name, value in values.items() if value}

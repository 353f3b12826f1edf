"""Options that several verbs share, as groups.

A verb's function takes a group as one parameter; `verb` shows Typer the group's fields as options
of their own and puts the group together again.
"""

import dataclasses
import functools
import getpass
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from typer import Option


@dataclasses.dataclass(frozen=True)
class Where:
    """Where to read: from a server, or straight from the regions with no server alive."""

    server: Annotated[
        str, Option(metavar="URL", help="Ask this server. (env: HOLDFAST_SERVER)")
    ] = ""
    data: Annotated[
        Path | None,
        Option(metavar="DIR", help="Read the regions themselves: those of this data directory."),
    ] = None
    config: Annotated[
        Path | None,
        Option(
            metavar="FILE", help="Read the regions that this file names. (env: HOLDFAST_CONFIG)"
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="Holds the server's token. (env: HOLDFAST_TOKEN, the token)"),
    ] = None
    ca_file: Annotated[
        Path | None, Option(metavar="FILE", help="Certificates to trust for https.")
    ] = None


@dataclasses.dataclass(frozen=True)
class Place:
    """Which regions, where only they will do."""

    data: Annotated[Path | None, Option(metavar="DIR", help="The data directory.")] = None
    config: Annotated[
        Path | None, Option(metavar="FILE", help="The settings. (env: HOLDFAST_CONFIG)")
    ] = None


def this_user() -> str:
    """Who runs the command; a container's user may have a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


@dataclasses.dataclass(frozen=True)
class Word:
    """What a person states under the trail's key: on which grounds, and by whom."""

    why: Annotated[str, Option(metavar="TEXT", help="The cause, as all readers will see it.")]
    by: Annotated[str, Option(metavar="TEXT", help="Who states it. (default: this user)")] = ""
    region_gone: Annotated[
        list[str] | None,
        Option(metavar="REGION", help="It is gone for good: do without its answer. Repeatable."),
    ] = None
    yes: Annotated[bool, Option("--yes", help="Do not ask.")] = False

    @property
    def author(self) -> str:
        return self.by or this_user()

    @property
    def gone(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.region_gone or ())))


@dataclasses.dataclass(frozen=True)
class Lost:
    """Which segments."""

    node: Annotated[str, Option(help="Whose segments are lost: 32 hex digits.")]
    from_: Annotated[int, Option("--from", min=0, help="Index of the first lost segment.")]
    to: Annotated[int, Option(min=1, help="Index after the last.")]


@dataclasses.dataclass(frozen=True)
class Target:
    """The server that events go to."""

    server: Annotated[str, Option(metavar="URL", help="The server. (env: HOLDFAST_SERVER)")] = ""
    token_file: Annotated[
        Path | None,
        Option(metavar="FILE", help="Holds the server's token. (env: HOLDFAST_TOKEN, the token)"),
    ] = None
    ca_file: Annotated[
        Path | None, Option(metavar="FILE", help="Certificates to trust for https.")
    ] = None
    retry_for: Annotated[
        float, Option(metavar="SECONDS", help="How long to go on when the server is away.")
    ] = 60.0


@dataclasses.dataclass(frozen=True)
class Filters:
    """Which events; all that are given must hold. The names are those of the HTTP API."""

    from_: Annotated[str, Option("--from", metavar="TIME", help="At or after (RFC 3339).")] = ""
    to: Annotated[str, Option(metavar="TIME", help="Before (RFC 3339).")] = ""
    tenant: Annotated[str | None, Option(help="Of this tenant; '' for events without one.")] = None
    actor: Annotated[str, Option(help="By this actor: its id or name.")] = ""
    action: Annotated[str, Option(help="This action, or a beginning: 'iam.*'.")] = ""
    target: Annotated[str, Option(help="On this target: its id or name.")] = ""
    outcome: Annotated[str, Option(help="success, failure, denied or unknown.")] = ""
    ip: Annotated[str, Option(help="From this source address.")] = ""
    id: Annotated[str, Option(help="With this event id.")] = ""
    q: Annotated[str, Option(metavar="TEXT", help="With this text anywhere in the record.")] = ""
    word: Annotated[str, Option(metavar="TEXT", help="With these whole words in the record.")] = ""

    def parameters(self) -> dict[str, str]:
        """The filters that were given, by the HTTP API's names."""
        values = {
            field.name.rstrip("_"): getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return {
            name: value
            for name, value in values.items()
            if value or (name == "tenant" and value is not None)
        }


def verb(function: Callable[..., int]) -> Callable[..., int]:
    """Let Typer see the fields of a verb's option groups as options of their own."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {}
    shown: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind = hints[name]
        if dataclasses.is_dataclass(kind):
            groups[name] = kind
            shown += _fields(kind)
        else:
            keyword = inspect.Parameter.KEYWORD_ONLY
            shown.append(parameter.replace(kind=keyword, annotation=kind))

    @functools.wraps(function)
    def run(**values: Any) -> int:
        for name, kind in groups.items():
            own = {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}
            values[name] = kind(**own)
        return function(**values)

    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # Typer reads it
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run


def _fields(kind: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_default(field),
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(kind)
    ]


def _default(field: "dataclasses.Field[Any]") -> object:
    return inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default

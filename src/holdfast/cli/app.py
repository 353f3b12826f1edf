"""The verbs, gathered."""

from collections.abc import Callable, Sequence
from importlib import import_module

import typer

import holdfast
from holdfast.cli import printer
from holdfast.cli.exits import BAD_INPUT, GOOD, INTERRUPTED, guarded
from holdfast.cli.options import verb

# Each verb, and where its function lies. Only that of the verb that is asked for is imported: all
# of them, with the engines of reading and writing, would take a second before anything is done.
Verbs = tuple[tuple[str, str], ...]
VERBS: Verbs = (
    ("serve", "serve:serve"),
    ("send", "send:send"),
    ("import", "import_events:import_events"),
    ("search", "search:search"),
    ("tail", "tail:tail"),
    ("show", "show:show"),
    ("proof", "proof:proof"),
    ("certify", "certify:certify"),
    ("export", "export:export"),
    ("status", "status:status"),
    ("completeness", "completeness:completeness"),
    ("checkpoint", "checkpoint:checkpoint"),
    ("reconcile", "reconcile:reconcile"),
    ("verify", "verify:verify"),
    ("archive", "archive:archive"),
    ("sweep", "sweep:sweep"),
    ("rehearse", "rehearse:rehearse"),
    ("report", "report:report"),
    ("witness", "witness:witness"),
    ("doctor", "doctor:doctor"),
    ("drill", "drill:drill"),
)
GROUPS: tuple[tuple[str, str, Verbs], ...] = (
    (
        "region",
        "The stores that the trail is kept in.",
        (
            ("list", "region:list_regions"),
            ("add", "region:add"),
            ("replace", "region:replace"),
            ("accept", "region:accept"),
        ),
    ),
    (
        "alerts",
        "What is wrong now, and who is told.",
        (("list", "alerts:list_alerts"), ("silence", "alerts:silence")),
    ),
    (
        "keys",
        "Who may write.",
        (("show", "keys:show"), ("admit", "keys:admit"), ("retire", "keys:retire")),
    ),
    (
        "tenant",
        "Tenants, and what each must know to check its certificates.",
        (("salt-id", "certify:salt_id"),),
    ),
    (
        "hold",
        "Legal holds: what must stay, whatever a rule says.",
        (("add", "hold:add"), ("list", "hold:list_holds"), ("release", "hold:release")),
    ),
    (
        "retention",
        "Rules of retention: what expires, and when.",
        (("plan", "retention:plan"), ("run", "retention:run")),
    ),
    ("gap", "Segments that are lost for good.", (("declare", "gap:declare_gap"),)),
    (
        "close",
        "Where an epoch ends, if a person must say.",
        (("declare", "close:declare_close"),),
    ),
)


def build(only: str = "") -> typer.Typer:
    """The command line as Typer sees it. only: with this verb or group alone; "": with all."""
    app = typer.Typer(
        name="holdfast",
        help="Keep an audit trail in several regions, and say how complete it is.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    _add(app, tuple(each for each in VERBS if only in ("", each[0])))
    for name, text, verbs in GROUPS:
        if only in ("", name):
            group = typer.Typer(name=name, help=text, no_args_is_help=True)
            group.callback()(_group)
            _add(group, verbs)
            app.add_typer(group)
    return app


def _add(app: typer.Typer, verbs: Verbs) -> None:
    for name, place in verbs:
        module, _, function = place.partition(":")
        found: Callable[..., int] = getattr(import_module(f"holdfast.cli.{module}"), function)
        app.command(name)(guarded(verb(found)))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    asked = arguments[0] if arguments else ""
    known = {name for name, *_ in (*VERBS, *GROUPS)}
    try:
        app = build(asked if asked in known else "")
        code = app(list(arguments), prog_name="holdfast", standalone_mode=False)
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        if message:  # without one, the help was asked for by saying nothing
            context: typer.Context | None = getattr(error, "ctx", None)
            asked = context.command_path if context else "holdfast"
            printer.failure(f"{message} (see `{asked} --help`)")
        return BAD_INPUT
    except typer.Abort:
        return INTERRUPTED
    return code if isinstance(code, int) else GOOD


def _version(wanted: bool) -> None:
    if wanted:
        printer.line(f"holdfast {holdfast.__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", help="Show the version.", callback=_version, is_eager=True
    ),
) -> None:
    pass


def _group() -> None:
    pass

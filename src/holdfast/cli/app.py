"""The verbs, gathered."""

from collections.abc import Callable, Sequence

import typer

import holdfast
from holdfast.cli import (
    alerts,
    certify,
    checkpoint,
    close,
    completeness,
    doctor,
    drill,
    gap,
    import_events,
    keys,
    printer,
    proof,
    reconcile,
    region,
    search,
    send,
    serve,
    show,
    status,
    tail,
    verify,
    witness,
)
from holdfast.cli.exits import BAD_INPUT, GOOD, INTERRUPTED, guarded
from holdfast.cli.options import verb

VERBS: tuple[tuple[str, Callable[..., int]], ...] = (
    ("serve", serve.serve),
    ("send", send.send),
    ("import", import_events.import_events),
    ("search", search.search),
    ("tail", tail.tail),
    ("show", show.show),
    ("proof", proof.proof),
    ("certify", certify.certify),
    ("status", status.status),
    ("completeness", completeness.completeness),
    ("checkpoint", checkpoint.checkpoint),
    ("reconcile", reconcile.reconcile),
    ("verify", verify.verify),
    ("witness", witness.witness),
    ("doctor", doctor.doctor),
    ("drill", drill.drill),
)
GROUPS: tuple[tuple[str, str, tuple[tuple[str, Callable[..., int]], ...]], ...] = (
    (
        "region",
        "The stores that the trail is kept in.",
        (
            ("list", region.list_regions),
            ("add", region.add),
            ("replace", region.replace),
            ("accept", region.accept),
        ),
    ),
    (
        "alerts",
        "What is wrong now, and who is told.",
        (("list", alerts.list_alerts), ("silence", alerts.silence)),
    ),
    (
        "keys",
        "Who may write.",
        (("show", keys.show), ("admit", keys.admit), ("retire", keys.retire)),
    ),
    ("tenant", "Whose events.", (("salt-id", certify.salt_id),)),
    ("gap", "What is lost for good.", (("declare", gap.declare_gap),)),
    ("close", "Where an epoch ends, if a person must say.", (("declare", close.declare_close),)),
)


def build() -> typer.Typer:
    """The command line as Typer sees it."""
    app = typer.Typer(
        name="holdfast",
        help="Keep an audit trail in several regions, and say how complete it is.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_root)
    for name, function in VERBS:
        app.command(name)(guarded(verb(function)))
    for name, text, verbs in GROUPS:
        group = typer.Typer(name=name, help=text, no_args_is_help=True)
        group.callback()(_group)
        for verb_name, function in verbs:
            group.command(verb_name)(guarded(verb(function)))
        app.add_typer(group)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code."""
    try:
        code = build()(list(arguments), prog_name="holdfast", standalone_mode=False)
    except typer.TyperException as error:
        message = " ".join(error.format_message().split())
        if message:  # without one, the help was asked for by saying nothing
            printer.failure(f"{message} (see `holdfast --help`)")
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

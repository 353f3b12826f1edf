"""`holdfast serve`: take events in, answer questions, keep the regions alike."""

from typing import Annotated

from typer import Option

from holdfast.cli import printer
from holdfast.cli.exits import GOOD
from holdfast.cli.options import Place
from holdfast.cli.place import settings_of


def serve(
    place: Place,
    port: Annotated[
        int | None, Option(help="Listen on this port; 0: any free one. 8420 by default.")
    ] = None,
    host: Annotated[
        str | None,
        Option(help="Listen on this address; 127.0.0.1 by default. Others need token and TLS."),
    ] = None,
    workers: Annotated[
        int | None, Option(help="Take events in with so many processes; 1 by default.")
    ] = None,
) -> int:
    """Start a server and run it until SIGTERM or SIGINT.

    The first start founds the trail: it says the trail's id, and what to back up.
    """
    flags = {"port": port, "host": host, "workers": workers}
    settings = settings_of(place.data, place.config, flags)
    if settings.workers > 1:
        from holdfast.serve import supervise

        supervise.serve(settings, printer.announce)
    else:
        from holdfast.serve import run

        run.serve(settings, printer.announce)
    return GOOD

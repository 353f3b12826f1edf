"""Where pages are drawn: on a terminal in its width and colours, elsewhere as plain lines."""

import time
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.text import Text

from holdfast.cli import printer

WIDE_COLUMNS: Final = 120  # from here on a page shows more
PLAIN_COLUMNS: Final = 1_000  # of what is no terminal: nothing is broken into lines
REDRAWS_PER_SECOND: Final = 1


class Page(Protocol):
    """A page as it stands now. wide: there is room for more than the usual 80 columns."""

    def __call__(self, wide: bool) -> RenderableType: ...


def show(page: Page) -> None:
    """Draw it once."""
    if printer.is_terminal():
        console = Console(highlight=False)
        console.print(page(console.width >= WIDE_COLUMNS))
        return
    console = Console(highlight=False, width=PLAIN_COLUMNS, no_color=True)
    with console.capture() as captured:
        console.print(page(False))
    for text in captured.get().splitlines():
        printer.announce(text.rstrip())


def watch(page: Page, look: Callable[[], None], every_seconds: float) -> NoReturn:
    """Look again and again, and draw what came of it, until interrupted.

    On a terminal the page has a screen of its own, and goes on telling its age while a look takes
    its time. look: changes what `page` gives.
    """
    if not printer.is_terminal():
        while True:
            look()
            show(page)
            time.sleep(every_seconds)
    console = Console(highlight=False)

    def drawn() -> RenderableType:
        return _Cut(page(console.width >= WIDE_COLUMNS))

    with Live(
        console=console,
        screen=True,
        refresh_per_second=REDRAWS_PER_SECOND,
        get_renderable=drawn,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        while True:
            look()
            live.refresh()
            time.sleep(every_seconds)


class _Cut:
    """A page that is cut at the bottom of the screen, and says so."""

    def __init__(self, page: RenderableType) -> None:
        self._page = page

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = console.height
        lines = console.render_lines(self._page, options.update(height=None), pad=False)
        if len(lines) <= height:
            yield self._page
            return
        for line in lines[: height - 1]:
            yield from line
            yield Text()
        yield Text(f"… {len(lines) - height + 1} more lines: make the window taller", "dim")

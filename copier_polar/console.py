"""What the commands share: options, output, questions, progress, and how they end.

A result goes to stdout, as text or with `--json` as one JSON document; all else goes to stderr. A command ends with 0,
with 1 when it found a problem or refused, with 2 when it was called wrongly, with 130 when Ctrl-C stopped it.
"""

from __future__ import annotations

import json
import math
import re
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import track
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for scripts.")]
# Only where the project is a Worker; the command line leaves them out elsewhere.
Remote = Annotated[bool, typer.Option("--remote", help="Work on the deployed database.")]
PersistTo = Annotated[
    str | None,
    typer.Option("--persist-to", metavar="<folder>", help="Work on the local database in this folder."),
]

NO_ANSWER = "Polar does not answer: look at the network, and at POLAR_BASE_URL if it is set."
CALLED_WRONGLY = 2
INTERRUPTED = 130
SECONDS_BETWEEN_LINES = 10
SAME_PRESS_SECONDS = 0.3
CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028-\\u202e\\u2066-\\u2069]")

Item = TypeVar("Item")


class Refused(Exception):
    """The command found a problem or will not go on; the message is one line for the person who called it."""


class BadCall(Exception):
    """The command cannot work here, or was called wrongly; the message is one line. It ends with 2."""


def show(result: Mapping[str, object], lines: Iterable[str | Text], *, as_json: bool) -> None:
    """Print the result of a command."""
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    console = Console(soft_wrap=True)
    for line in lines:
        console.print(line if isinstance(line, Text) else Text(visible(line)))


def note(line: str) -> None:
    """Tell the person something that is no result."""
    Console(stderr=True, soft_wrap=True).print(Text(visible(line), style="dim"))


def good(text: str) -> Text:
    """Colour what is as it should be."""
    return Text(visible(text), style="green")


def warn(text: str) -> Text:
    """Colour what wants a look."""
    return Text(visible(text), style="yellow")


def bad(text: str) -> Text:
    """Colour what is wrong."""
    return Text(visible(text), style="red")


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align the cells of a table; the first row is its head."""
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*shown, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def visible(text: str) -> str:
    """Show control characters as U+FFFD: names come from outside, and a terminal obeys what is in them."""
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone. Raises Refused on a no, and without a terminal unless `--yes` is given."""
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"{question} There is no terminal to ask on; --yes says yes.")
    if not _agrees(question):
        raise Refused("Nothing was changed.")


def _agrees(question: str) -> bool:
    """Ask; Ctrl-C and Ctrl-D are a no."""
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        print(file=sys.stderr)
        return False


def progress(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Go through the items and show on stderr how far it is: a bar on a terminal, a line now and then elsewhere."""
    if sys.stderr.isatty():
        yield from track(items, label, total, console=Console(stderr=True), transient=True)
        return
    told = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - told >= SECONDS_BETWEEN_LINES:
            note(f"{label} {done}/{total}")
            told = time.monotonic()
        yield item


_pressed = {"last": -math.inf}


def _is_new_press() -> bool:
    """Whether Ctrl-C was pressed again: uv sends on what the whole group gets, 200 ms later."""
    before, _pressed["last"] = _pressed["last"], time.monotonic()
    return _pressed["last"] - before > SAME_PRESS_SECONDS


def end_on_ctrl_c() -> None:
    """End the process on Ctrl-C as Python does, and count a press once, however often it arrives."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        if _is_new_press():
            raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


@contextmanager
def interruptible() -> Generator[Callable[[], bool]]:
    """Let Ctrl-C wait for what is in hand: the function that is yielded says whether it came. A second one ends all."""
    came = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal came
        if not _is_new_press():
            return
        if came:
            raise KeyboardInterrupt
        came = True
        note("Stopping after what is in hand; Ctrl-C once more ends it now.")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before)


def end_interrupted(done: int, total: int, advice: str) -> NoReturn:
    """End a command that Ctrl-C stopped: say how far it came, and how it goes on."""
    note(f"Stopped after {done} of {total}. {advice}")
    raise typer.Exit(INTERRUPTED)


def complain(message: str, code: int = 1) -> int:
    """Print what went wrong and return the exit code."""
    Console(stderr=True, soft_wrap=True).print(Text.assemble(("Error: ", "bold red"), visible(message)))
    return code

"""On a terminal: colours, questions and progress; elsewhere plain text, for scripts and CI.

What else a terminal may send is tested in `tests/tool`.
"""

from __future__ import annotations

import json

import pytest

from tests.operations.side import Pair
from tests.operations.test_reconcile import at_polar
from tests.operations.test_users import buyer

GREEN = "\x1b[32m"


def test_there_are_colours_on_a_terminal_and_nowhere_else(pair: Pair) -> None:
    for side in pair.sides:
        buyer(side, "user_1")
        assert f"{GREEN}Blocked: 1 customer(s) of this user." in side.on_terminal("block", "user_1").out
        assert "\x1b[1m" in side.on_terminal("block", "--help").out
        document = side.on_terminal("block", "user_1", "--json").out.partition("{\r\n")[2]
        assert "\x1b" not in document
        assert json.loads("{" + document)["blocked"] is True
        ran = side.run("doctor", NO_COLOR="")
        assert "\x1b" not in ran.out + ran.err


@pytest.mark.parametrize(
    ("typed", "code", "said"),
    [("\x03", 1, "Nothing was changed."), ("y", 0, "Erased: 1 customer(s)")],  # Ctrl-C is a no
)
def test_what_cannot_be_undone_is_asked_about(pair: Pair, typed: str, code: int, said: str) -> None:
    for side in pair.sides:
        buyer(side, "user_1")
        ran = side.on_terminal("erase", "user_1", typed=typed)
        assert "Erase the personal data of user user_1? It cannot be brought back. [y/N]: " in ran.out
        assert (ran.code, said in ran.out, "Traceback" in ran.out) == (code, True, False), ran.out
        rows = side.sql("SELECT email FROM billing_customers")
        assert (rows[0]["email"] is None) is (code == 0)


def test_long_work_says_how_far_it_is(pair: Pair) -> None:
    for side in pair.sides:
        for number in (1, 2, 3):
            at_polar(side, number)
        assert "Reconciling" in side.on_terminal("reconcile").out
        assert "Checking" in side.on_terminal("doctor").out

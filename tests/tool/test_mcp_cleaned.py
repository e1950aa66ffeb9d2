"""What the MCP server takes out of its answers, and the rules that it knows."""

from __future__ import annotations

import pytest

from copier_polar.mcp.cleaned import LONGEST_TEXT, Cleaner, from_outside
from copier_polar.mcp.rules import RULES
from tests.support.render import ROOT


def test_every_reason_of_the_policy_has_its_rule() -> None:
    python = (ROOT / "template/fastapi/src/app/billing/policy.py").read_text()
    typescript = (ROOT / "template/worker/src/billing/policy.ts").read_text()
    for reason in RULES:
        assert f'"{reason}"' in python or reason in ("active", "trialing", "paused", "unpaid", "incomplete")
        assert reason in typescript or reason in ("active", "trialing", "paused", "unpaid", "incomplete")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mailto:a.b+c@x.example.", "mailto:(personal)"),
        ("a%40x.example", "(personal)"),
        ("user=ö@ü.example", "user=(personal)"),
        ("https://user:pass@x.example/a?b#c", "https://x.example/…"),
        ("postgresql+psycopg://u:p@db:5432/app", "postgresql+psycopg://db:5432/…"),
        ("https://x.example", "https://x.example"),
        ("https://x.example?a=b", "https://x.example/…"),
        ("https://own.example/webhooks/polar", "https://own.example/webhooks/polar"),
        ("https://own.example.evil/secret", "https://own.example.evil/…"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("http://x:y/z", "(an address)"),
        ("whsec_abcdefghijkl", "(secret)"),
        ("hunter2, hunter22", "(secret), (secret)"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig_-", "(secret)"),
    ],
)
def test_what_is_taken_out(text: str, shown: str) -> None:
    cleaner = Cleaner(("hunter22", "hunter2"), "https://own.example")
    assert cleaner.clean({text: [text, 1, None]}) == {shown: [shown, 1, None]}


def test_a_long_text_is_cut() -> None:
    assert from_outside(name="x" * 3000) == {"merchant_text": {"name": "x" * LONGEST_TEXT + "…"}}
    assert from_outside(name=None) == {}

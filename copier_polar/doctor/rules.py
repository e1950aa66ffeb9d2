"""Events and access rules of the code, compared with the generated ones by running them."""

from __future__ import annotations

from collections.abc import Iterator

from copier_polar import generated
from copier_polar.doctor.checks import SAMPLE
from copier_polar.doctor.examination import Examination, Found

DAY_US = 24 * 60 * 60 * 1_000_000
NOW_US = 20_000 * DAY_US


def event_unhandled(x: Examination) -> Iterator[Found]:
    """Read an event of every type as the inbox does."""
    for kind, projection in generated.events().items():
        if projection is not None and (what := _wrong_with(x, kind, projection)):
            yield Found(kind, what)


def _wrong_with(x: Examination, kind: str, projection: str) -> str | None:
    read = x.bridge.call("read_event", type=kind, data=SAMPLE)
    if read["projection"] != projection:
        return f"goes to {read['projection'] or 'no projection'}, not to {projection}"
    return "cannot be read" if read["problem"] else None


def access_table(x: Examination) -> Iterator[Found]:
    """Let the rules decide about purchases of every status."""
    answers = x.opened.project.answers
    for status, rule in generated.subscription_policy().items():
        for days, expected in _expectations(rule, generated.grace_days(answers)):
            if _gives_access(x, "subscription", _subscription(status, days)) != expected:
                yield Found(f"subscription {status}, {days} day(s) late", _difference(expected))
    for status, expected in generated.order_policy().items():
        if _gives_access(x, "order", _order(status)) != expected:
            yield Found(f"order {status}", _difference(expected))
    premium = generated.premium(answers)
    for product in x.facts.catalogue.products:
        expected = premium.get(product.key, False)
        if product.premium != expected:
            yield Found(f"product {product.key}", _difference(expected))


def _expectations(rule: str, grace_days: int) -> Iterator[tuple[int, bool]]:
    """Yield days after the end of the period, and whether there is access then."""
    limits = {"while_renewing": generated.renewal_limit_days(), "within_grace": grace_days}
    limit = limits.get(rule, 0)
    for days in sorted({0, limit - 1, limit} - {-1}):
        yield days, days < limit


def _gives_access(x: Examination, kind: str, held: dict[str, object]) -> bool:
    return bool(x.bridge.call("standing", kind=kind, held=held, at=NOW_US)["access"])


def _subscription(status: str, days: int) -> dict[str, object]:
    end = NOW_US - days * DAY_US
    return {
        "id": "doctor",
        "customer_id": "doctor",
        "product_id": None,
        "status": status,
        "created_us": end - DAY_US,
        "current_period_start_us": end - DAY_US,
        "current_period_end_us": end,
        "cancel_at_period_end": False,
        "ends_us": None,
        "past_due_us": end,
    }


def _order(status: str) -> dict[str, object]:
    return {
        "id": "doctor",
        "product_id": None,
        "status": status,
        "created_us": NOW_US,
        "billing_reason": "purchase",
        "subscription_id": None,
    }


def _difference(expected: bool) -> str:
    return "gives no access; as generated it does" if expected else "gives access; as generated it does not"

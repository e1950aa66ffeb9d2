"""The report: products, status, issues by priority, plan, what was skipped. As JSON, and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from copier_polar.doctor.checks import CHECKS
from copier_polar.doctor.examine import Result
from copier_polar.polar import Json

PRIORITIES = {
    "P1": ("critical", "Now, before anything else"),
    "P2": ("important", "This week"),
    "P3": ("polish", "When there is time"),
}
MAX_LISTED = 20
MARKUP = re.compile(r"([\\`*\[\]|<>~&])")


def make_report(products: Sequence[Json], status: Json, results: Iterable[Result]) -> Json:
    """Put the report together."""
    results = list(results)
    return {
        "products": list(products),
        "status": status,
        "issues": [_issue(result) for priority in PRIORITIES for result in results if _is_issue(result, priority)],
        "skipped": [{"id": result.check_id, "reason": result.skipped} for result in results if result.skipped],
        "passed": [result.check_id for result in results if not result.found and not result.skipped],
    }


def to_markdown(report: Json) -> Iterator[str]:
    """Write the report for a person."""
    yield "# Billing integration report"
    yield from _products(report["products"])
    yield from _status(report)
    yield from _issues(report["issues"])
    yield from _plan(report["issues"])
    yield from _skipped(report["skipped"])


def _is_issue(result: Result, priority: str) -> bool:
    return bool(result.found) and CHECKS[result.check_id].priority == priority


def _issue(result: Result) -> Json:
    check = CHECKS[result.check_id]
    return {
        "id": result.check_id,
        "priority": check.priority,
        "title": check.title,
        "found": [{"place": found.place, "what": found.what} for found in result.found],
        "fix": check.fix,
    }


def _products(products: Iterable[Json]) -> Iterator[str]:
    yield from ("", "## Products", "")
    yield "| key | name | price | access | id |"
    yield "|---|---|---|---|---|"
    for product in products:
        price = f"{', '.join(product['prices']) or 'none'}, {product['interval']}"
        access = "yes" if product["premium"] else "no"
        cells = (product["key"], product["name"], price, access, product["id"])
        yield f"| {' | '.join(map(escaped, cells))} |"


def _status(report: Json) -> Iterator[str]:
    status = report["status"]
    api, settings, tables = status["api"], status["settings"], status["tables"]
    yield from ("", "## Status", "")
    yield f"- API version: {api['version']}, removed on {api['earliest_removal']} at the earliest"
    if settings:
        yield f"- Server: {settings['server']}"
        yield f"- App: {escaped(settings['app_url'])}"
        if (secrets := settings["webhook_secrets"]) is not None:
            yield f"- Webhook secrets: {len(secrets)} ({', '.join(secrets)})"
    if tables:
        yield f"- Events: {_counts(tables['events'])}; the newest: {tables['newest_event'] or 'none'}"
        yield f"- Customers: {tables['customers']}"
        yield f"- Subscriptions: {_counts(tables['subscriptions'])}"
        yield f"- Orders: {_counts(tables['orders'])}"
    found, passed, skipped = (len(report[name]) for name in ("issues", "passed", "skipped"))
    yield f"- Checks: {passed} passed, {found} found something, {skipped} skipped"


def _issues(issues: Sequence[Json]) -> Iterator[str]:
    for priority, (meaning, _) in PRIORITIES.items():
        yield from ("", f"## {priority}: {meaning}", "")
        listed = [issue for issue in issues if issue["priority"] == priority]
        if not listed:
            yield "Nothing."
        for number, issue in enumerate(listed):
            yield from [""] * (number > 0)
            yield from _one(issue)


def _one(issue: Json) -> Iterator[str]:
    yield f"### {issue['title']} (`{issue['id']}`)"
    yield ""
    for found in issue["found"][:MAX_LISTED]:
        yield f"- {escaped(found['place'])}: {escaped(found['what'])}"
    if len(issue["found"]) > MAX_LISTED:
        yield f"- and {len(issue['found']) - MAX_LISTED} more"
    yield from ("", f"Fix: {issue['fix']}")


def _plan(issues: Sequence[Json]) -> Iterator[str]:
    yield from ("", "## Plan", "")
    steps = [
        f"{when}: {ids}."
        for priority, (_, when) in PRIORITIES.items()
        if (ids := _ids(issue for issue in issues if issue["priority"] == priority))
    ]
    for number, step in enumerate([*steps, "Run `doctor` again." if steps else "Nothing is to be done."], 1):
        yield f"{number}. {step}"


def _skipped(skipped: Sequence[Json]) -> Iterator[str]:
    if not skipped:
        return
    yield from ("", "## Skipped", "")
    reasons = dict.fromkeys(entry["reason"] for entry in skipped)
    for reason in reasons:
        yield f"- {escaped(reason)} {_ids(entry for entry in skipped if entry['reason'] == reason)}"


def _ids(entries: Iterable[Json]) -> str:
    return ", ".join(f"`{entry['id']}`" for entry in entries)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {escaped(name)}" for name, count in counts.items()) or "none"


def escaped(text: str) -> str:
    """Write a text so that Markdown shows it as it is: names come from outside."""
    return MARKUP.sub(r"\\\1", " ".join(text.split()))

"""The webhook endpoint at Polar, its deliveries, and the address that it calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from copier_polar import generated
from copier_polar.doctor.checks import DELIVERY_CAUSES
from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.skipped import Skipped
from copier_polar.polar import Json
from copier_polar.read import mapping, text

TIMEOUT_SECONDS = 10.0


def endpoint_missing(x: Examination) -> Iterator[Found]:
    """Report that nothing is registered at our address."""
    if not _registered(x):
        others = ", ".join(sorted(str(endpoint.get("url")) for endpoint in x.polar.endpoints)) or "none"
        yield Found(x.webhook_url, f"is not registered; registered: {others}")


def endpoint_duplicate(x: Examination) -> Iterator[Found]:
    """Report that every event comes more than once."""
    count = len(_ours(x))
    if count > 1:
        yield Found(x.webhook_url, f"is registered {count} times")


def endpoint_disabled(x: Examination) -> Iterator[Found]:
    """Report endpoints that Polar has switched off."""
    for endpoint in _ours(x):
        if endpoint.get("enabled") is False:
            yield Found(_place(endpoint), "is switched off: what happens meanwhile is lost")


def endpoint_events(x: Examination) -> Iterator[Found]:
    """Report events that are applied here and not sent."""
    applied = [kind for kind, projection in generated.events().items() if projection]
    for endpoint in _ours(x):
        sent = endpoint.get("events") or []
        missing = sorted(kind for kind in applied if kind not in sent)
        if missing:
            yield Found(_place(endpoint), f"does not send {', '.join(missing)}")


def endpoint_format(x: Examination) -> Iterator[Found]:
    """Report formats for chat rooms."""
    for endpoint in _ours(x):
        if endpoint.get("format") != "raw":
            yield Found(_place(endpoint), f"sends {endpoint.get('format')}, not raw")


def endpoint_version(x: Examination) -> Iterator[Found]:
    """Compare the version of the deliveries with that of the code."""
    for endpoint in _ours(x):
        version = endpoint.get("api_version")
        if version != x.facts.api_version:
            yield Found(_place(endpoint), f"sends {version}; the code is written for {x.facts.api_version}")


def endpoint_secret(x: Examination) -> Iterator[Found]:
    """Compare the endpoint's secret with ours; it is shown nowhere."""
    for endpoint in _ours(x):
        if endpoint.get("secret") not in x.webhook_secrets:
            yield Found("POLAR_WEBHOOK_SECRET", f"is not the secret of {_place(endpoint)}")


def deliveries_failing(x: Examination) -> Iterator[Found]:
    """Count the failures among the newest deliveries, by their cause."""
    for endpoint in _ours(x):
        deliveries = x.polar.deliveries(str(endpoint.get("id")))
        failed = [delivery for delivery in deliveries if delivery.get("succeeded") is False]
        codes = Counter(delivery.get("http_code") for delivery in failed)
        for code, count in sorted(codes.items(), key=lambda entry: entry[0] or 0):
            newest = next(delivery for delivery in failed if delivery.get("http_code") == code)
            kind = text(mapping(newest, "webhook_event"), "type")
            what = f"{count} of the newest {len(deliveries)} got {code or 'nothing'} (last: {kind}): {_cause(code)}"
            yield Found(_place(endpoint), what)


def deployed_route(x: Examination) -> Iterator[Found]:
    """Send an unsigned event to the app's public address: it must be refused by the app itself."""
    import httpx  # only where it is needed

    try:
        answer = httpx.post(x.webhook_url, json={}, timeout=TIMEOUT_SECONDS)
    except httpx.HTTPError:
        raise Skipped("No answer from APP_URL.") from None
    if answer.status_code != 401:
        code = answer.status_code
        yield Found(f"POST {x.webhook_url}", f"answers {code}, not 401: {_cause(code)}")


def _registered(x: Examination) -> list[Json]:
    if x.is_local:
        raise Skipped("APP_URL is this machine, which Polar cannot call.")
    return [endpoint for endpoint in x.polar.endpoints if str(endpoint.get("url")).rstrip("/") == x.webhook_url]


def _ours(x: Examination) -> list[Json]:
    endpoints = _registered(x)
    if not endpoints:
        raise Skipped("No endpoint is registered for the app.")
    return endpoints


def _place(endpoint: Json) -> str:
    return f"endpoint {endpoint.get('id')}"


def _cause(code: int | None) -> str:
    if code is None:
        return DELIVERY_CAUSES["none"]
    if code < 300:
        return "it was accepted without a signature"
    return DELIVERY_CAUSES.get(str(code)) or DELIVERY_CAUSES[str(code)[0]]

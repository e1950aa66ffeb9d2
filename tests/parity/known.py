"""Steps at which the two differ, or both are wrong, and why that stands for now; a line goes when it is mended."""

from __future__ import annotations

_PATH = "the Worker resolves the path as browsers do, FastAPI escapes it"
_EVERYWHERE = "FastAPI lets allowed origins read every route, the Worker its API only"

# By the step's name, or by its beginning and a star.
KNOWN = {
    "a known id with another body: no effect": "the Worker applies the body of a repeat that differs",
    "checkout: path with quotes": _PATH,
    "checkout: path with dots": _PATH,
    "checkout: path that leaves by dots": _PATH,
    "checkout: path with a later backslash": _PATH,
    "route: POST to a premium route": "a wrong method at the user's own routes is 404 in both",
    "CORS: health from https://app.example.com": _EVERYWHERE,
    "CORS: webhook from https://app.example.com": _EVERYWHERE,
}


def reason(name: str) -> str | None:
    """Why the step of that name is known to fail, if it is."""
    return next((why for key, why in KNOWN.items() if name == key or _begins(name, key)), None)


def _begins(name: str, key: str) -> bool:
    return key.endswith("*") and name.startswith(key[:-1])

"""Structured log lines: one JSON object a line; ids and names of errors only, never personal data or secrets."""

import json
import logging

from app.billing.read import Unreadable

logger = logging.getLogger("app.billing")
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def log_line(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one line."""
    if logger.isEnabledFor(level):
        logger.log(level, _encode({"event": event, **fields}))


def error_name(error: BaseException) -> str:
    """Name an error without the data that its message may repeat; our own about a payload repeat none."""
    return f"{type(error).__name__}: {error}" if isinstance(error, Unreadable) else type(error).__name__

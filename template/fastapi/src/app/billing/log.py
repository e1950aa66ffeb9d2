"""Structured log lines: one JSON object a line, ids only, never personal data."""

import json
import logging

logger = logging.getLogger("app.billing")
_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


def log_line(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one line."""
    if logger.isEnabledFor(level):
        logger.log(level, _encode({"event": event, **fields}))

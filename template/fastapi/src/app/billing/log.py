"""Structured log lines: one JSON object a line, ids only, never personal data."""

import json
import logging

logger = logging.getLogger("app.billing")


def log_line(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Write one line."""
    logger.log(level, json.dumps({"event": event, **fields}, separators=(",", ":"), default=str))

"""What a running app has logged: one JSON object a line, among the lines of its server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def events(log: Path) -> Iterator[dict[str, Any]]:
    """Every line that is an event of the app; a server may have written something before it on the line."""
    for line in log.read_text(errors="replace").splitlines():
        start = line.find("{")
        try:
            entry = json.loads(line[start:]) if start >= 0 else None
        except ValueError:
            continue  # a line of the server itself
        if isinstance(entry, dict) and "event" in entry:
            yield entry

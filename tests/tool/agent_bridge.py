"""The fake bridge as a process for the MCP server: with an app to examine, a decision, and what a test writes of both.

`python -m tests.tool.agent_bridge FOLDER` reads in the folder how it misbehaves, each time that it starts.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.tool import fake_bridge
from tests.tool.doctor.app import App
from tests.tool.fake_bridge import EVENTS, FakeBridge

MISBEHAVIOUR = "misbehaviour"
DECISION = "decision.json"
STARTS = "starts"  # a line for each time that it started


class AgentBridge(FakeBridge):
    """It also answers what the doctor and `access_of` ask."""

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        super().__init__(folder, facts)
        app = App(EVENTS, os.environ["POLAR_WEBHOOK_SECRET"])
        self.scripts |= {
            "routes": app.list_routes,
            "request": app.request,
            "standing": app.standing,
            "read_event": app.read_event,
            "decide": lambda user, at: json.loads((folder / DECISION).read_text()),
        }


def main(folder: Path) -> None:
    """Speak the protocol until stdin closes."""
    with (folder / STARTS).open("a") as starts:
        starts.write("started\n")
    misbehaviour = folder / MISBEHAVIOUR
    print("A line that is no protocol.", file=sys.stderr)
    fake_bridge.main(folder, misbehaviour.read_text() if misbehaviour.exists() else "", AgentBridge)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

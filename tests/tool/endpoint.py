"""`endpoint sync`, called in process, and the Polar beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.operations.polar_operations import PolarOperations
from tests.support import deliveries
from tests.support.render import TOKEN
from tests.tool.conftest import Ran, Tool

APP = "https://app.example.com"
ADDRESS = f"{APP}/webhooks/polar"
FILES = {"worker": ".dev.vars", "fastapi": ".env"}
WEBHOOK_SECRET = deliveries.new_secret("standard")


@dataclass
class Endpoint:
    """The command, and Polar beside it."""

    tool: Tool
    polar: PolarOperations
    patch: pytest.MonkeyPatch

    @property
    def settings(self) -> dict[str, Any]:
        """What the project says of its settings."""
        return self.tool.bridge.facts["settings"]

    @property
    def methods(self) -> list[str]:
        """The methods of all calls to Polar."""
        return [call.method for call in self.polar.calls]

    def file(self, runtime: str, text: str) -> Path:
        """Make it a project of a runtime, with this file of settings."""
        self.tool.use(runtime)
        self.settings["app_url"] = APP
        file = self.tool.folder / FILES[runtime]
        file.write_text(text, encoding="utf-8")
        return file

    def sync(self, *options: str, code: int = 0) -> Ran:
        """Call it; no secret is ever printed."""
        ran = self.tool.run("endpoint", "sync", *options, code=code)
        secrets = [str(one["secret"]) for one in self.polar.endpoints.values() if one["secret"]]
        assert not [secret for secret in (*secrets, TOKEN, WEBHOOK_SECRET) if secret in ran.out + ran.err]
        return ran

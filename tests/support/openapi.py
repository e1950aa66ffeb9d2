"""The OpenAPI document of a generated FastAPI app: the contract of every variant, as a machine reads it."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from tests.support import apps, deliveries
from tests.support.process import run
from tests.support.render import TOKEN

VARIANT = next(variant for variant in apps.VARIANTS if variant.name == "fastapi-sqlite")
_SCRIPT = "import json; from app.main import create_app; print(json.dumps(create_app(background=False).openapi()))"


def document(project: Path) -> Any:
    """The document of an installed project of `VARIANT`."""
    settings = {
        "POLAR_SERVER": "sandbox",
        "POLAR_ACCESS_TOKEN": TOKEN,
        "POLAR_WEBHOOK_SECRET": deliveries.new_secret("standard"),
        "AUTH_JWT_SECRET": secrets.token_hex(32),
        "APP_URL": "http://127.0.0.1:8000",
    }
    command = ["uv", "run", "--no-sync", "--quiet", "python", "-c", _SCRIPT]
    printed = run(command, cwd=project, env={**apps.python_environment(), **settings}, timeout=60)
    return json.loads(printed.stdout)

"""The handler in the SDK's README; nothing is stored. Served by `serving.py`."""

from __future__ import annotations

import os

from fastapi import FastAPI, HTTPException, Request
from polar.v2026_10.webhooks import PolarWebhookError, PolarWebhookVerificationError, validate_event


def create_app() -> FastAPI:
    """Make the app with the one handler."""
    app = FastAPI()
    webhook_secret = os.environ["POLAR_WEBHOOK_SECRET"]

    @app.get("/healthz")
    async def healthz() -> dict[str, int]:
        return {"events": 0}

    @app.post("/webhooks/polar")
    async def polar_webhook(request: Request) -> dict[str, bool]:
        try:
            event = validate_event(await request.body(), dict(request.headers), webhook_secret)
        except PolarWebhookVerificationError as exc:
            raise HTTPException(status_code=403, detail="Invalid webhook signature") from exc
        except PolarWebhookError as exc:
            raise HTTPException(status_code=400, detail="Invalid webhook payload") from exc

        if event.type == "order.created":
            print(event.data.id)

        return {"received": True}

    return app

"""JSON bodies of our routes: small, strict, read after the caller is known."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from app.billing.errors import BillingError

MAX_BODY_BYTES = 16 * 1024


class Body(BaseModel):
    """Base of request bodies: only the keys that are named, only of their own type."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


BodyT = TypeVar("BodyT", bound=Body)


async def read_bounded(request: Request, limit: int) -> bytes:
    """Return the raw body; more than `limit` bytes are refused without reading on."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 12 or int(declared) > limit):
        raise BillingError("body_too_large", headers={"Connection": "close"})
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BillingError("body_too_large", headers={"Connection": "close"})
    return bytes(body)


def json_body(model: type[BodyT], *, optional: bool = False) -> Callable[[Request], Awaitable[BodyT]]:
    """Return a dependency that reads and validates the body. Declare it after the user: 401 comes before 400."""

    async def read(request: Request) -> BodyT:
        raw = await read_bounded(request, MAX_BODY_BYTES)
        if optional and not raw:
            return model()
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise BillingError("invalid_body", "The content type must be application/json.")
        try:
            return model.model_validate_json(raw)
        except ValidationError as error:
            raise BillingError("invalid_body", _explain(error)) from None

    return read


def documented(model: type[Body], example: dict[str, object], *, optional: bool = False) -> dict[str, Any]:
    """Return the OpenAPI description of such a body."""
    content = {"application/json": {"schema": model.model_json_schema(), "example": example}}
    return {"requestBody": {"required": not optional, "content": content}}


def _explain(error: ValidationError) -> str:
    problems = []
    for problem in error.errors(include_url=False, include_input=False):
        where = ".".join(str(part) for part in problem["loc"])
        what = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
        problems.append(f"{where}: {what}" if where else what)
    return "; ".join(problems)[:1000]

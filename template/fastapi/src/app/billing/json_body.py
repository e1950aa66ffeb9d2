"""JSON bodies of our routes: small, strict, read after the caller is known."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from app.billing.errors import BillingError

MAX_BODY_BYTES = 16 * 1024
BODY_SECONDS = 5.0
KEY_RULE = "must be a string of 1 to 100 characters."
NAMED_KEYS, NAME_LENGTH = 5, 40
TOO_MUCH = {"Retry-After": "5", "Connection": "close"}


class Body(BaseModel):
    """Base of request bodies: only the keys that are named, only of their own type."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)
    # What a field must be that is not like a key.
    rules: ClassVar[dict[str, str]] = {}


BodyT = TypeVar("BodyT", bound=Body)


async def read_bounded(request: Request, limit: int) -> bytes:
    """Return the raw body; more than `limit` bytes are refused without reading on.

    What all requests together hold is bounded too, and for how long: anybody may send a body.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 12 or int(declared) > limit):
        raise BillingError("body_too_large", headers={"Connection": "close"})
    try:
        with _reading.one() as part:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    part.add(chunk)
                    if len(part.body) > limit:
                        raise BillingError("body_too_large", headers={"Connection": "close"})
            return bytes(part.body)
    except TimeoutError as error:
        raise BillingError("unavailable", headers=TOO_MUCH) from error


class Reading:
    """The bodies that are being read: so many at once, and so many bytes beyond the usual size."""

    def __init__(self, at_once: int, usual_bytes: int, more_bytes: int) -> None:
        self._left = at_once
        self._usual_bytes = usual_bytes
        self._more_bytes = more_bytes

    @contextmanager
    def one(self) -> Generator["_Part"]:
        """Read one body."""
        if self._left <= 0:
            raise BillingError("unavailable", headers=TOO_MUCH)
        part = _Part(self)
        self._left -= 1
        try:
            yield part
        finally:
            self._left += 1
            self._more_bytes += part.more

    def take(self, part: "_Part", size: int) -> None:
        """Take what a body needs beyond the usual."""
        more = max(0, size - self._usual_bytes) - part.more
        if more > self._more_bytes:
            raise BillingError("unavailable", headers=TOO_MUCH)
        self._more_bytes -= more
        part.more += more


class _Part:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.body = bytearray()
        self.more = 0

    def add(self, chunk: bytes) -> None:
        self._reading.take(self, len(self.body) + len(chunk))
        self.body += chunk


# Polar's largest delivery has 10 KB. Together 32 MiB, whoever sends them.
_reading = Reading(at_once=256, usual_bytes=64 * 1024, more_bytes=16 * 1024 * 1024)


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
            raise BillingError("invalid_body", _explain(model, raw, error)) from None

    return read


def documented(model: type[Body], example: dict[str, object], *, optional: bool = False) -> dict[str, Any]:
    """Return the OpenAPI description of such a body."""
    content = {"application/json": {"schema": model.model_json_schema(), "example": example}}
    return {"requestBody": {"required": not optional, "content": content}}


def _explain(model: type[Body], raw: bytes, error: ValidationError) -> str:
    """Return the first thing that is wrong with a body; no value of it is repeated."""
    try:
        value = json.loads(raw.decode(), parse_constant=int)  # NaN is neither JSON nor an int
    except UnicodeDecodeError:
        return "The body is not UTF-8."
    except (ValueError, RecursionError):
        return "The body is not JSON."
    problems: list[Any] = list(error.errors(include_url=False, include_input=False))
    if problems[0]["type"] == "json_invalid":  # the validator's own parser refuses deep nesting and half characters
        problems = _problems(model, value)
    if not problems or not problems[0]["loc"]:
        return "The body must be a JSON object."
    if unknown := [str(problem["loc"][0]) for problem in problems if problem["type"] == "extra_forbidden"]:
        return f"Unknown keys: {_named(unknown)}."
    field = str(problems[0]["loc"][0])
    return f"{field}: {model.rules.get(field, KEY_RULE)}"


def _problems(model: type[Body], value: object) -> list[Any]:
    """Return what is wrong with a parsed body, as the validator tells it."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        return list(error.errors(include_url=False, include_input=False))
    return []


def _named(keys: list[str]) -> str:
    shown = [json.dumps(key[:NAME_LENGTH], ensure_ascii=False) for key in keys[:NAMED_KEYS]]
    return ", ".join(shown) + (", …" if len(keys) > NAMED_KEYS else "")

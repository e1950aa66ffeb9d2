"""Every error leaves as `{error, message}`, whoever raised it, and tells nothing about the inside."""

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError, TimeoutError
from starlette.exceptions import HTTPException

from app.billing.errors import BillingError
from app.billing.log import log_line
from app.billing.polar import PolarApiError

DEFAULT_RETRY_SECONDS = 60
CODES = {400: "invalid_body", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


def install_error_handlers(app: FastAPI) -> None:
    """Answer all errors of the app in the one form."""
    app.add_exception_handler(BillingError, billing_error)
    app.add_exception_handler(PolarApiError, polar_error)
    app.add_exception_handler(OperationalError, store_error)
    app.add_exception_handler(TimeoutError, store_error)
    app.add_exception_handler(RequestValidationError, invalid_request)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)


async def billing_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer an error of the registry."""
    assert isinstance(error, BillingError)
    return JSONResponse(error.body(), error.status, error.headers)


async def polar_error(request: Request, error: Exception) -> JSONResponse:
    """Answer a failed call of Polar: wait when it limits us, else try again."""
    assert isinstance(error, PolarApiError)
    log_line("polar_error", level=logging.WARNING, status=error.status, error=error.error)
    if error.status != 429:
        return await billing_error(request, BillingError("polar_error"))
    seconds = DEFAULT_RETRY_SECONDS if error.retry_after is None else error.retry_after
    return await billing_error(request, BillingError("unavailable", headers={"Retry-After": str(seconds)}))


async def store_error(request: Request, error: Exception) -> JSONResponse:
    """Answer that the database did not do it: locked, full, or gone."""
    log_line("database_error", level=logging.ERROR, error=type(error).__name__)
    return await billing_error(request, BillingError("unavailable", headers={"Retry-After": "5"}))


async def invalid_request(request: Request, error: Exception) -> JSONResponse:
    """Answer what the framework would call 422 as 400, naming the fields and not their values."""
    assert isinstance(error, RequestValidationError)
    where = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
    return await billing_error(request, BillingError("invalid_body", f"Not valid: {where}." if where else None))


async def http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer errors of the framework, and `HTTPException`s of your own routes with their own message."""
    assert isinstance(error, HTTPException)
    own = None if error.detail == HTTPStatus(error.status_code).phrase else str(error.detail)
    code = CODES.get(error.status_code)
    if code is not None:
        return await billing_error(request, BillingError(code, own, headers=error.headers))
    return JSONResponse({"error": "error", "message": str(error.detail)}, error.status_code, error.headers)


async def unexpected(request: Request, _error: Exception) -> JSONResponse:
    """Answer anything else: the server's log has the traceback, the caller learns nothing."""
    return await billing_error(request, BillingError("internal"))

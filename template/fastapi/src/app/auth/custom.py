"""Your own sign-in: fill in `identify`. Until then nobody is signed in, and every protected route answers 401."""

import logging

from fastapi import Request

from app.auth.user import User, is_user_id
from app.billing.errors import BillingError
from app.billing.log import log_line
from app.settings import Settings


def identify(request: Request) -> User | None:
    """Return the signed-in user, or None. For example, with a session library of your choice:

        session = sessions.read(request.cookies.get("session"))
        return User(session.user_id, session.email) if session else None

    The id must be stable and never be given to another person. An e-mail address only if you have verified it.
    """
    del request
    return None


class CustomAuth:
    """Says who calls, by `identify`, and keeps other sites from using a visitor's cookies."""

    def __init__(self, settings: Settings) -> None:
        self._origins = {settings.app_url, *settings.allowed_origins}

    def __call__(self, request: Request) -> User:
        """Return the user, or raise 401, or 403 for a change that another site asks for with the user's cookies."""
        changes = request.method not in {"GET", "HEAD", "OPTIONS"} and "authorization" not in request.headers
        if changes and request.headers.get("origin") not in self._origins:
            raise BillingError("forbidden_origin")
        user = _identified(request)
        if user is None or not is_user_id(user.id):
            raise BillingError("unauthorized")
        return user


def _identified(request: Request) -> User | None:
    """Return whom `identify` names; when it fails, nobody is signed in."""
    try:
        return identify(request)
    except Exception as error:
        log_line("sign_in_failed", level=logging.ERROR, error=type(error).__name__)
        return None

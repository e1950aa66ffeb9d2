"""`token`: signs a bearer token for development."""

import time
from typing import Annotated

import jwt
import typer
from pydantic import SecretStr

from app.auth.user import is_user_id
from app.billing.commands.audit import announce
from app.billing.commands.console import AsJson, Refused, show
from app.billing.commands.project import open_settings
from app.settings import Settings

LIFETIME_SECONDS = 3600


def token(
    user: Annotated[str, typer.Option("--user", help="The user's id.")],
    email: Annotated[str | None, typer.Option("--email", help="The user's e-mail address.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a bearer token for development.

    It is good for an hour, and signed with AUTH_JWT_SECRET.

    Example: uv run billing token --user user_1 --email ada@example.com
    """
    settings = open_settings()
    if settings.auth_jwt_secret is None:
        raise Refused("AUTH_JWT_SECRET is not set, so there is nothing to sign with.")
    if not is_user_id(user):
        raise typer.BadParameter("must be 1 to 255 characters", param_hint="--user")
    announce("token", user)
    signed = sign(settings, settings.auth_jwt_secret, user, email)
    show({"token": signed, "expires_in": LIFETIME_SECONDS}, [signed], as_json=as_json)


def sign(settings: Settings, secret: SecretStr, user: str, email: str | None = None) -> str:
    """Return a token of this user, as the app's settings want it."""
    now = int(time.time())
    optional = {"email": email, "iss": settings.auth_issuer, "aud": settings.auth_audience}
    claims = {"sub": user, "iat": now, "exp": now + LIFETIME_SECONDS}
    claims |= {name: value for name, value in optional.items() if value is not None}
    return jwt.encode(claims, secret.get_secret_value(), algorithm="HS256")

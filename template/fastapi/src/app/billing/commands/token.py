"""`token`: a bearer token for development, good for an hour, signed with AUTH_JWT_SECRET."""

import time
from argparse import ArgumentParser, Namespace

import jwt

from app.auth.user import is_user_id
from app.settings import load_settings

HELP = "sign a bearer token for development"
LIFETIME_SECONDS = 3600


def arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--user", required=True, help="the user's id")
    parser.add_argument("--email", help="the user's e-mail address")


def run(options: Namespace) -> None:
    """Print the token."""
    settings = load_settings()
    if settings.auth_jwt_secret is None:
        raise SystemExit("AUTH_JWT_SECRET: not set, so there is nothing to sign with.")
    if not is_user_id(options.user):
        raise SystemExit("--user: must be 1 to 255 characters.")
    now = int(time.time())
    optional = {"email": options.email, "iss": settings.auth_issuer, "aud": settings.auth_audience}
    claims = {"sub": options.user, "iat": now, "exp": now + LIFETIME_SECONDS}
    claims |= {name: value for name, value in optional.items() if value is not None}
    print(jwt.encode(claims, settings.auth_jwt_secret.get_secret_value(), algorithm="HS256"))

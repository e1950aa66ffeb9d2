"""`token`: signs a bearer token for development."""

from __future__ import annotations

from typing import Annotated

import typer

from copier_polar.audit import announce
from copier_polar.console import AsJson, Refused, show
from copier_polar.project import Opened, Store, chosen
from copier_polar.simulation.sign_in import LIFETIME_SECONDS, sign
from copier_polar.user import is_user_id


def token(
    user: Annotated[str, typer.Option("--user", help="The user's id.")],
    email: Annotated[str | None, typer.Option("--email", help="The user's e-mail address.")] = None,
    as_json: AsJson = False,
) -> None:
    """Sign a bearer token for development.

    It is good for an hour, and signed with AUTH_JWT_SECRET.

    Example: uv run billing token --user user_1 --email ada@example.com
    """
    project = chosen()
    with project.start_bridge(Store()) as bridge:
        opened = Opened(project, bridge)
        opened.require_settings()
        settings, secret = opened.facts.settings, opened.settings.get("AUTH_JWT_SECRET")
    if secret is None:
        raise Refused("AUTH_JWT_SECRET is not set, so there is nothing to sign with.")
    if not is_user_id(user):
        raise typer.BadParameter("must be 1 to 255 characters", param_hint="--user")
    announce("token", user)
    signed = sign(secret, settings, user, email)
    show({"token": signed, "expires_in": LIFETIME_SECONDS}, [signed], as_json=as_json)

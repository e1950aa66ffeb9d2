"""Guards for your own routes.

`Depends(require_access)`, `Depends(require_product("pro_yearly"))`, `Depends(require_benefit("beta_features"))`
"""

from collections.abc import Callable

from fastapi import APIRouter, Depends, Request

from app.auth.user import User
from app.billing.access import Decision, access_of
from app.billing.context import Billing, BillingDep, Now, SignInShown
from app.billing.errors import BillingError

UPGRADE_PATH = "/pricing"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def require_access(request: Request, billing: BillingDep, now: Now, _shown: SignInShown) -> User:
    """Let users with any premium product in, and return the user."""
    return _require(request, billing, now, lambda decision: decision.access)


def require_product(*keys: str) -> Callable[..., User]:
    """Let users with one of these products in."""

    def guard(request: Request, billing: BillingDep, now: Now, _shown: SignInShown) -> User:
        return _require(request, billing, now, lambda decision: any(held.key in keys for held in decision.products))

    return guard


def require_benefit(*keys: str) -> Callable[..., User]:
    """Let users with one of these benefits in."""

    def guard(request: Request, billing: BillingDep, now: Now, _shown: SignInShown) -> User:
        return _require(request, billing, now, lambda decision: any(held.key in keys for held in decision.benefits))

    return guard


unknown_paths = APIRouter(include_in_schema=False, dependencies=[Depends(require_access)])


@unknown_paths.api_route("", methods=METHODS)
@unknown_paths.api_route("/{path:path}", methods=METHODS)
def not_found() -> None:
    """Tell only users with access that there is nothing."""
    raise BillingError("not_found")


def _require(request: Request, billing: Billing, now: int, allowed: Callable[[Decision], bool]) -> User:
    upgrade_url = billing.settings.app_url + UPGRADE_PATH
    try:
        user = billing.authenticate(request)
    except BillingError as error:
        if error.status == 401:
            error.upgrade_url = upgrade_url
        raise
    if not allowed(access_of(billing.database, user.id, now, billing.catalog)):
        raise BillingError("no_access", upgrade_url=upgrade_url)
    return user

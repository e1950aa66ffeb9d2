"""What the routes share, and the dependencies that hand it to them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from app.auth.user import User
from app.billing.catalog_types import Catalog
from app.billing.client_ip import client_ip
from app.billing.errors import BillingError
from app.billing.polar import PolarApi
from app.database import Database
from app.settings import Settings

Authenticate = Callable[[Request], User]


@dataclass(frozen=True)
class Billing:
    """The parts that a request needs; made once, at start."""

    settings: Settings
    catalog: Catalog
    database: Database
    authenticate: Authenticate
    polar: PolarApi | None
    clock: Callable[[], int] = field(default=lambda: time.time_ns() // 1000)

    def connected_polar(self) -> PolarApi:
        """Return Polar's API, or answer that these are demo products: their ids do not exist at Polar."""
        if self.polar is None:
            raise BillingError("demo_catalogue")
        return self.polar


async def billing_of(request: Request) -> Billing:
    """Return what the app was made with."""
    billing = request.app.state.billing
    assert isinstance(billing, Billing)
    return billing


BillingDep = Annotated[Billing, Depends(billing_of)]


async def now_of(billing: BillingDep) -> int:
    """Return the one instant of this request, in microseconds."""
    return billing.clock()


async def ip_of(request: Request, billing: BillingDep) -> str | None:
    """Return the caller's address."""
    return client_ip(request, billing.settings.trusted_proxies)


# Only for the Authorize button of /docs: whether the token is good is decided below.
bearer = HTTPBearer(auto_error=False, description="The token of the signed-in user.")
SignInShown = Annotated[object, Depends(bearer)]


def current_user(request: Request, billing: BillingDep, _shown: SignInShown) -> User:
    """Return the signed-in user, or answer 401."""
    return billing.authenticate(request)


CurrentUser = Annotated[User, Depends(current_user)]
Now = Annotated[int, Depends(now_of)]
ClientIp = Annotated[str | None, Depends(ip_of)]

"""Your own routes beside billing, and this file is yours to change; those behind the paywall are in `app.premium`.

For signed-in users take a `CurrentUser` of `app.billing.context`; for those of some products a guard of
`app.billing.require_access`.
"""

from fastapi import APIRouter

router = APIRouter()

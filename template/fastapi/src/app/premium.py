"""Your premium routes. Everything on this router is for users with access; this file is yours to change."""

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from app.auth.user import User
from app.billing.require_access import require_access

router = APIRouter(tags=["premium"], dependencies=[Depends(require_access)])


class Greeting(BaseModel):
    """A few kind words."""

    message: str = Field(examples=["Hello user_1, thank you for subscribing."])


@router.get("/hello", summary="An example")
def hello(user: Annotated[User, Depends(require_access)]) -> Greeting:
    """Greet a paying user: replace me."""
    return Greeting(message=f"Hello {user.id}, thank you for subscribing.")

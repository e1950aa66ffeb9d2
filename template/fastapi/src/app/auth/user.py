"""The signed-in user: all that billing knows about a person."""

from dataclasses import dataclass

MAX_ID_LENGTH = 255


@dataclass(frozen=True)
class User:
    """`id` is the external id at Polar: stable, never reused, never an e-mail address that can change."""

    id: str
    email: str | None = None
    name: str | None = None


def is_user_id(value: object) -> bool:
    """Whether a value can be a user id: a non-empty printable string of at most 255 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_LENGTH:
        return False
    return not any(
        ord(character) < 32 or 127 <= ord(character) < 160 or "\ud800" <= character <= "\udfff" for character in value
    )

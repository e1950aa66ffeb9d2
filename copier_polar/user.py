"""Which texts can be the id of a user."""

from __future__ import annotations

LONGEST_ID = 255


def is_user_id(value: str) -> bool:
    """Tell whether a text can be a user id: printable, not empty, at most 255 characters."""
    if not 0 < len(value) <= LONGEST_ID:
        return False
    return not any(
        ord(character) < 32 or 127 <= ord(character) < 160 or "\ud800" <= character <= "\udfff" for character in value
    )

"""A check that could not be made."""


class Skipped(Exception):
    """The check cannot be made; the message says why."""

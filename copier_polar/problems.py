"""What may go wrong with a project, its bridge or Polar, as the one line that a person reads."""

from __future__ import annotations

from copier_polar.bridge import (
    BridgeBroken,
    DemoProblem,
    PolarProblem,
    SettingsProblem,
    StoreProblem,
    UnreadableProblem,
)
from copier_polar.console import CALLED_WRONGLY, NO_ANSWER, BadCall, Refused

EXPECTED = (
    BadCall,
    BridgeBroken,
    DemoProblem,
    PolarProblem,
    Refused,
    SettingsProblem,
    StoreProblem,
    UnreadableProblem,
)
NO_POLAR = "These are demo products: there is no Polar to ask. POLAR_SERVER names one."


def line_of(error: Exception) -> str:
    """Return what an expected error says."""
    if isinstance(error, DemoProblem):
        return NO_POLAR
    if isinstance(error, SettingsProblem):
        return f"Settings: {error}".replace("\n", " ")
    if isinstance(error, PolarProblem):
        return f"{error}." if error.status else NO_ANSWER
    return str(error)


def code_of(error: Exception) -> int:
    """Return the exit code of a command that an expected error ends."""
    return CALLED_WRONGLY if isinstance(error, BadCall | BridgeBroken) else 1

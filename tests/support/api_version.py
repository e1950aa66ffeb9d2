"""The version of Polar's API that projects speak: read from copier.yml, the only place that names it."""

from __future__ import annotations

import yaml

from tests.support.render import ROOT

_QUESTION = yaml.safe_load((ROOT / "copier.yml").read_text())["polar_api_version"]
API_VERSION: str = _QUESTION["default"]
API_VERSIONS: tuple[str, ...] = tuple(_QUESTION["choices"])


def module_name(version: str = API_VERSION) -> str:
    """The package of polar-sdk that speaks it."""
    return f"polar.v{version.replace('-', '_')}"

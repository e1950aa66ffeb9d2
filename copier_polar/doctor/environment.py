"""Settings, and where they are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator

from copier_polar import generated
from copier_polar.doctor.examination import Examination, Found
from copier_polar.doctor.skipped import Skipped
from copier_polar.environment import settings_file

DEMO_ID = "00000000-0000-4000-8000-"
ORGANIZATION_TOKEN = "polar_oat_"
STANDARD = re.compile("whsec_[A-Za-z0-9+/]{43}=")


def settings_unfit(x: Examination) -> Iterator[Found]:
    """Report what stops the app from starting."""
    for line in x.problem.splitlines():
        name, _, what = line.partition(": ")
        yield Found(name, what)


def demo_ids(x: Examination) -> Iterator[Found]:
    """Report ids of the demo catalogue, which exist nowhere."""
    products = x.facts.catalogue.products
    count = sum(product.id.startswith(DEMO_ID) for product in products)
    if count:
        yield Found("catalogue", f"{count} of {len(products)} products; checkout answers 503 demo_catalogue")


def server_mismatch(x: Examination) -> Iterator[Found]:
    """Compare the server of the settings with that of the catalogue."""
    server, read_from = x.settings.server, generated.server(x.opened.project.answers)
    if read_from == "demo":
        raise Skipped("The catalogue is the demo.")
    if server != read_from:
        yield Found("POLAR_SERVER", f"is {server}; the catalogue was read from {read_from}")


def token_kind(x: Examination) -> Iterator[Found]:
    """Report a token that is not an organization's."""
    if not x.polar.token.startswith(ORGANIZATION_TOKEN):
        yield Found("POLAR_ACCESS_TOKEN", f"does not begin with {ORGANIZATION_TOKEN}")


def schemes(x: Examination) -> list[str]:
    """Return the scheme of each secret, by its shape: those that Polar made since September 2026 are base64."""
    return ["standard" if STANDARD.fullmatch(secret) else "legacy" for secret in x.webhook_secrets]


def secret_legacy(x: Examination) -> Iterator[Found]:
    """Report secrets of the old scheme, where Polar signs at all."""
    if x.settings.server == "demo":
        raise Skipped("POLAR_SERVER is demo: there is no Polar to ask.")
    for number, scheme in enumerate(schemes(x), 1):
        if scheme == "legacy":
            yield Found("POLAR_WEBHOOK_SECRET", f"secret {number}: the whole text is the key")


def secret_readable(x: Examination) -> Iterator[Found]:
    """Report a file of secrets that others may read."""
    project = x.opened.project
    file = settings_file(project.folder, project.runtime)
    if not file.exists():
        raise Skipped("There is no file of secrets.")
    if file.stat().st_mode & 0o077:
        yield Found("the file of secrets", "is readable by group or others")


def app_url_insecure(x: Examination) -> Iterator[Found]:
    """Report an address that Polar cannot call: it wants https."""
    if x.is_local:
        raise Skipped("APP_URL is this machine, which Polar cannot call.")
    if not x.webhook_url.startswith("https://"):
        yield Found("APP_URL", "does not begin with https://")

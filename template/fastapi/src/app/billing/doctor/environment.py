"""Settings, and where they are kept."""

import re
from collections.abc import Iterator

from app.billing.catalog import catalog
from app.billing.doctor import generated
from app.billing.doctor.examination import Examination, Found
from app.billing.doctor.skipped import Skipped
from app.cli import ENV_FILE

DEMO_ID = "00000000-0000-4000-8000-"
ORGANIZATION_TOKEN = "polar_oat_"  # noqa: S105 - the prefix, not a token
STANDARD = re.compile("whsec_[A-Za-z0-9+/]{43}=")


def settings_unfit(x: Examination) -> Iterator[Found]:
    """Report what stops the app from starting."""
    for line in x.problem.splitlines():
        name, _, what = line.partition(": ")
        yield Found(name, what)


def demo_ids(_x: Examination) -> Iterator[Found]:
    """Report ids of the demo catalogue, which exist nowhere."""
    count = sum(product.id.startswith(DEMO_ID) for product in catalog.products)
    if count:
        yield Found("catalogue", f"{count} of {len(catalog.products)} products; checkout answers 503 demo_catalogue")


def server_mismatch(x: Examination) -> Iterator[Found]:
    """Compare the server of the settings with that of the catalogue."""
    server = x.billing.settings.polar_server
    if generated.SERVER == "demo":
        raise Skipped("The catalogue is the demo.")
    if server != generated.SERVER:
        yield Found("POLAR_SERVER", f"is {server}; the catalogue was read from {generated.SERVER}")


def token_kind(x: Examination) -> Iterator[Found]:
    """Report a token that is not an organization's."""
    if not x.polar.token.startswith(ORGANIZATION_TOKEN):
        yield Found("POLAR_ACCESS_TOKEN", f"does not begin with {ORGANIZATION_TOKEN}")


def schemes(x: Examination) -> list[str]:
    """Return the scheme of each secret, by its shape: those that Polar made since September 2026 are base64."""
    secrets = x.billing.settings.polar_webhook_secret
    return ["standard" if STANDARD.fullmatch(secret.get_secret_value()) else "legacy" for secret in secrets]


def secret_legacy(x: Examination) -> Iterator[Found]:
    """Report secrets of the old scheme, where Polar signs at all."""
    if x.billing.settings.polar_server == "demo":
        raise Skipped("POLAR_SERVER is demo: there is no Polar to ask.")
    for number, scheme in enumerate(schemes(x), 1):
        if scheme == "legacy":
            yield Found("POLAR_WEBHOOK_SECRET", f"secret {number}: the whole text is the key")


def secret_readable(_x: Examination) -> Iterator[Found]:
    """Report a file of secrets that others may read."""
    if not ENV_FILE.exists():
        raise Skipped("There is no file of secrets.")
    if ENV_FILE.stat().st_mode & 0o077:
        yield Found("the file of secrets", "is readable by group or others")


def app_url_insecure(x: Examination) -> Iterator[Found]:
    """Report an address that Polar cannot call: it wants https."""
    if x.is_local:
        raise Skipped("APP_URL is this machine, which Polar cannot call.")
    if not x.webhook_url.startswith("https://"):
        yield Found("APP_URL", "does not begin with https://")

"""The snapshot: what Polar answered, reduced to the fields that are used, under readable keys that stay.

It is recorded in the answers file, so that a later update renders from it: no network, no token, the same bytes.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from copier.errors import UserMessageError
from jinja2 import Environment
from jinja2.ext import Extension

FORMAT = 1
_KEY = re.compile(r"[a-z][a-z0-9_]{0,63}")
_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_HURTS = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufeff" + _NONCHARACTERS + "]"
)
_EVERY = {"day": "daily", "week": "weekly", "month": "monthly", "year": "yearly"}
# Lower-case words that are no identifier in TypeScript or Python, or mean something else on an object.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """
        abstract and any arguments as assert async await bigint boolean break case catch class const constructor
        continue debugger declare def default del delete do elif else enum eval except export extends false finally
        for from function get global if implements import in infer infinity instanceof interface is keyof lambda let
        match module namespace nan never new none nonlocal not null number object of or package pass print private
        protected prototype public raise readonly require return self set static string super switch symbol this throw
        true try type typeof undefined unique unknown using var void while with yield
        """,
    )
)


def clean(text: Any, one_line: bool = False, limit: int = 5000) -> str:
    """Text from outside without what hurts later: controls, exotic line breaks, BOM, surrogates, bidi overrides.

    Right-to-left marks and joiners are part of how people write, and stay; what re-orders the text around it goes.
    """
    if not isinstance(text, str):
        return ""
    text = _BREAKS.sub("\n", text).replace("\t", " ")
    kept = _HURTS.sub("", text)
    return (" ".join(kept.split()) if one_line else kept.strip())[:limit]


def _word(value: Any) -> str | None:
    """An id or enum value, as it is; None where there is none."""
    return clean(value, one_line=True, limit=100) or None


def _whole(value: Any) -> int | None:
    """A whole number that every language holds exactly, else None."""
    return value if type(value) is int and abs(value) < 2**53 else None


def _decimal(value: Any) -> str | None:
    """Polar's decimal strings; older answers have plain numbers there."""
    text = str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
    return text if re.fullmatch(r"-?\d{1,30}(\.\d{1,30})?", text) else None


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _metadata(value: Any) -> dict[str, Any]:
    """Metadata is flat: text, numbers and booleans."""
    kept: dict[str, Any] = {}
    for name, item in value.items() if isinstance(value, dict) else ():
        if isinstance(item, str):
            item = clean(item)
        elif not isinstance(item, (bool, int, float)) or (isinstance(item, float) and not math.isfinite(item)):
            continue
        kept[clean(name, one_line=True)] = item
    return kept


def _price(raw: dict[str, Any], currency: str) -> dict[str, Any]:
    return {
        "id": _word(raw.get("id")) or "",
        "type": _word(raw.get("amount_type")) or "unknown",
        "currency": (_word(raw.get("price_currency")) or currency).lower(),
        "amount": _whole(raw.get("price_amount")),
        "minimum": _whole(raw.get("minimum_amount")),
        "maximum": _whole(raw.get("maximum_amount")),
        "preset": _whole(raw.get("preset_amount")),
        "unit_amount": _decimal(raw.get("unit_amount")),
    }


def _product(raw: dict[str, Any], currency: str) -> dict[str, Any]:
    prices = [price for price in _objects(raw.get("prices")) if not price.get("is_archived")]
    # Legacy products have the interval on their prices.
    interval = _word(raw.get("recurring_interval")) or next(
        (_word(price.get("recurring_interval")) for price in prices if price.get("recurring_interval")), None
    )
    trial = _word(raw.get("trial_interval"))
    return {
        "id": _word(raw.get("id")) or "",
        "name": clean(raw.get("name"), one_line=True) or "Product",
        "description": clean(raw.get("description")) or None,
        "archived": False,
        # Only where it is: other recorded catalogues stay as they are.
        **({"private": True} if raw.get("visibility") == "private" else {}),
        "recurring": interval is not None or raw.get("is_recurring") is True,
        "interval": interval,
        "interval_count": (_whole(raw.get("recurring_interval_count")) or 1) if interval else None,
        "trial_interval": trial,
        "trial_interval_count": (_whole(raw.get("trial_interval_count")) or 1) if trial else None,
        "prices": [_price(price, currency) for price in prices],
        "benefits": [_word(benefit.get("id")) for benefit in _objects(raw.get("benefits")) if benefit.get("id")],
    }


def _benefit(raw: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": _word(raw.get("id")) or "",
        "type": _word(raw.get("type")) or "unknown",
        "description": clean(raw.get("description")),
        "metadata": _metadata(raw.get("metadata")),
    }


def _organization(raw: dict[str, Any] | None, fallback_id: Any) -> dict[str, Any]:
    """What the questions need of the organization; general defaults where the token may not read it."""
    raw = raw or {}
    settings = raw.get("subscription_settings")
    settings = settings if isinstance(settings, dict) else {}
    grace = _whole(settings.get("benefit_revocation_grace_period"))
    return {
        "id": _word(raw.get("id")) or _word(fallback_id) or "",
        "name": clean(raw.get("name"), one_line=True),
        "default_currency": (_word(raw.get("default_presentment_currency")) or "usd").lower(),
        "allow_multiple_subscriptions": settings.get("allow_multiple_subscriptions") is True,
        "grace_days": grace if grace is not None and 0 <= grace <= 365 else None,
        "proration": _word(settings.get("proration_behavior") or raw.get("proration_behavior")),
    }


def _owner(answer: Mapping[str, Any]) -> str:
    """The id of the organization that an answer of Polar's is of; empty where nothing says it."""
    told = [(answer["organization"] or {}).get("id"), *(each.get("organization_id") for each in answer["products"][:1])]
    return next(filter(None, map(_word, told)), "")


def slug(text: str, fallback: str) -> str:
    """Readable text as an identifier of both languages: lower-case ASCII letters, digits and underscores."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    key = re.sub(r"[^a-z0-9]+", "_", ascii_text).strip("_")[:48].strip("_")
    if not key or not key[0].isalpha():
        key = f"{fallback}_{key}".strip("_")
    return f"{key}_{fallback}" if key in _RESERVED else key


def assign_keys(
    items: list[dict[str, Any]],
    kept: Mapping[str, str],
    taken: Iterable[str],
    fallback: str,
    text: Callable[[dict[str, Any]], str],
) -> list[dict[str, Any]]:
    """The items with a unique `key` first: the one in `kept` for their id, else made from their text."""
    used = set(kept.values()) | set(taken)
    wanted = {item["id"]: slug(text(item), fallback) for item in items if item["id"] not in kept}
    often = Counter(wanted.values())
    keyed = []
    for item in items:
        key = kept.get(item["id"])
        if key is None:
            key = stem = wanted[item["id"]]
            if (often[stem] > 1 or stem in used) and item.get("interval") in _EVERY:
                key = stem = f"{stem}_{_EVERY[item['interval']]}"  # "Pro" by the month and "Pro" by the year
            number = 2
            while key in used:
                key, number = f"{stem}_{number}", number + 1
        used.add(key)
        keyed.append({"key": key, **item})
    return keyed


def _kept_keys(
    items: list[dict[str, Any]], old: list[dict[str, Any]], same_account: bool, texts: list[Callable[[Any], Any]]
) -> dict[str, str]:
    """Keys that stay: by id within an account, by name (the first of `texts` that is unique) from one to another."""
    if same_account:
        known = {item["id"]: item["key"] for item in old}
        return {item["id"]: known[item["id"]] for item in items if item["id"] in known}
    kept: dict[str, str] = {}
    for text in texts:
        before, now = Counter(map(text, old)), Counter(map(text, items))
        keys = {text(item): item["key"] for item in old if item["key"] not in kept.values()}
        for item in items:
            name = text(item)
            if item["id"] not in kept and name in keys and before[name] == now[name] == 1:
                kept[item["id"]] = keys[name]
    return kept


def _name(item: dict[str, Any]) -> str:
    return str(item.get("name") or item.get("description") or item.get("type") or "").casefold()


def take_snapshot(
    answer: dict[str, Any],
    server: str,
    base_url: str | None,
    api_version: str,
    old: dict[str, Any] | None,
    chosen: Iterable[str],
    unsellable: Callable[[dict[str, Any]], str],
) -> dict[str, Any]:
    """A snapshot of Polar's answer, its keys those of the old one where they mean the same thing.

    A product that was chosen and is no longer for sale in the same account stays, marked archived: it has buyers. So
    does one whose new prices a project cannot sell, `unsellable` says, with the prices that it had.
    """
    raw_products = _objects(answer["products"])
    wanted = set(chosen)
    organization = _organization(answer["organization"], _owner(answer))
    source = (server, base_url, organization["id"])
    same_account = old is not None and (old["server"], old["base_url"], old["organization"]["id"]) == source
    before = old or {"products": [], "benefits": [], "meters": []}
    if same_account and answer["organization"] is None:
        organization = before["organization"]  # a token that may not read it takes away nothing that is known
    products = [_product(raw, organization["default_currency"]) for raw in raw_products]
    benefits = list(
        {raw["id"]: _benefit(raw) for product in raw_products for raw in _with_id(product, "benefits")}.values()
    )
    meters = list(
        {
            meter["id"]: {"id": _word(meter["id"]), "name": clean(meter.get("name"), one_line=True)}
            for product in raw_products
            for price in _objects(product.get("prices"))
            if isinstance(meter := price.get("meter"), dict) and meter.get("id")
        }.values()
    )
    archived: list[dict[str, Any]] = []
    if same_account:
        sold = {
            product["id"]: product
            for product in before["products"]
            if product["key"] in wanted and not unsellable(product)
        }
        products = [
            {**product, "archived": True, "prices": sold[product["id"]]["prices"]}
            if product["id"] in sold and unsellable(product)
            else product
            for product in products
        ]
        live = {product["id"] for product in products}
        archived = [
            {**product, "archived": True}
            for product in before["products"]
            if product["id"] not in live and product["key"] in wanted
        ]
        needed = {key for product in archived for key in product["benefits"]}
        known = {benefit["id"] for benefit in benefits}
        of_archived = [
            {name: value for name, value in benefit.items() if name != "key"}
            for benefit in before["benefits"]
            if benefit["key"] in needed and benefit["id"] not in known
        ]
        benefits = _in_place(benefits, of_archived, before["benefits"])
    kept = _kept_keys(
        products,
        before["products"],
        same_account,
        [lambda item: (_name(item), item["interval"], item["interval_count"]), _name],
    )
    # In another account a name alone makes no product the one that code means by the key of a chosen one.
    taken = {item["key"] for item in (archived if same_account else before["products"]) if item["key"] in wanted}
    products = assign_keys(products, kept, taken, "product", lambda item: item["name"])
    kept = _kept_keys(benefits, before["benefits"], same_account, [lambda item: (_name(item), item["type"]), _name])
    benefits = assign_keys(benefits, kept, (), "benefit", lambda item: item["description"] or item["type"])
    kept = _kept_keys(meters, before["meters"], same_account, [_name])
    meters = assign_keys(meters, kept, (), "meter", lambda item: item["name"])
    key_of = {benefit["id"]: benefit["key"] for benefit in benefits}
    for product in products:
        product["benefits"] = list(dict.fromkeys(key_of[id_] for id_ in product["benefits"]))
    snapshot = {
        "format": FORMAT,
        "server": server,
        "base_url": base_url,
        "api_version": api_version,
        "organization": organization,
        "products": _in_place(products, archived, before["products"]),
        "benefits": benefits,
        "meters": meters,
    }
    return _sorted(snapshot)


def _in_place(
    live: list[dict[str, Any]], archived: list[dict[str, Any]], old: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """All of them, each archived one behind those that it was behind before: a difference moves no lines."""
    placed = list(live)
    order = [item["id"] for item in old]
    for item in archived:
        earlier = set(order[: order.index(item["id"])])
        places = [number for number, other in enumerate(placed, 1) if other["id"] in earlier]
        placed.insert(max(places, default=0), item)
    return placed


def _sorted(value: Any) -> Any:
    """The same with its keys in order, as they come back from the answers file: else an update would move them."""
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _with_id(product: dict[str, Any], field: str) -> list[dict[str, Any]]:
    return [item for item in _objects(product.get(field)) if item.get("id")]


def recorded_answers(conf: Mapping[str, Any]) -> dict[str, Any]:
    """The answers file of the project that is being made or updated, {} where there is none yet."""
    try:
        found = yaml.load(
            Path(conf["dst_path"], conf["answers_file"]).read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except (OSError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def readable(snapshot: Any) -> bool:
    """Whether this is a snapshot that this version of the template understands."""
    try:
        products, benefits = snapshot["products"], snapshot["benefits"]
        keys = [item["key"] for item in products]
        price_fields = set(_price({}, ""))
        return (
            snapshot["format"] == FORMAT
            and len(set(keys)) == len(keys) > 0
            and all(_KEY.fullmatch(item["key"]) for item in [*products, *benefits, *snapshot["meters"]])
            and {"server", "base_url", "api_version"} <= set(snapshot)
            and set(snapshot["organization"]) >= set(_organization(None, None))
            and all(set(item) >= {"key", *_product({}, "")} for item in products)
            and all(set(price) >= price_fields for item in products for price in item["prices"])
            and all(set(item) >= {"key", *_benefit({})} for item in benefits)
            and all(set(item["benefits"]) <= {benefit["key"] for benefit in benefits} for item in products)
        )
    except (TypeError, KeyError, AttributeError):
        return False


def _refuse_another(
    old: dict[str, Any] | None, server: str, base_url: str | None, owner: str, conf: Mapping[str, Any]
) -> None:
    """A token of another organization is a mistake, most likely: the same names would stand for other products."""
    if old is None or (old["server"], old["base_url"]) != (server, base_url) or "products" in conf["data"]:
        return
    if owner and old["organization"]["id"] and owner != old["organization"]["id"]:
        raise UserMessageError(
            f"The token is of another organization ({owner}) than the catalogue ({old['organization']['id']}). Use one "
            "of the same; if the project is to move there, choose from its products: --data 'products=[key, key]'. "
            "Nothing was changed."
        )


class Snapshot(Extension):
    """Registers `catalogue()`, the default of the recorded answer, and `catalogue_problem()`, its validator."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals |= {
            "catalogue": self.catalogue,
            "catalogue_problem": self.problem,
            "recorded_answers": recorded_answers,
            "needs_polar": lambda server, conf, refresh: (
                server != "demo" and bool(self._mismatch(self._recorded(conf), server) or refresh)
            ),
        }

    def catalogue(self, server: str, token: str, api_version: str, conf: Mapping[str, Any]) -> dict[str, Any]:
        """A snapshot of what the server offers now, asked in that version of the API."""
        tools = self.environment.globals
        if server == "demo":
            answer, base_url = tools["demo_catalogue"](), None
        else:
            base_url = tools["polar_base_url"](server)
            answer = tools["ask_polar"](server, token, api_version, quiet=conf["quiet"])
        old = self._recorded(conf)
        if not answer["products"]:
            kept = " Nothing was changed." if old else ""
            home = tools["polar_dashboard"](server)
            raise UserMessageError(
                f"There are no products for sale at Polar ({server}): create one at {home}, Products, or use "
                f"polar_server=demo.{kept}"
            )
        _refuse_another(old, server, base_url, _owner(answer), conf)
        chosen = recorded_answers(conf).get("products") or []
        return take_snapshot(answer, server, base_url, api_version, old, map(str, chosen), tools["unsellable"])

    def problem(
        self, snapshot: Any, server: str, token: str, api_version: str, conf: Mapping[str, Any], refresh: bool
    ) -> str:
        """Why the recorded snapshot cannot be used; empty where it can.

        Within one update Copier hands the answer on to its renderings of the old and the new version as data: then it
        has been decided already, and nothing is asked.
        """
        given = "polar_catalog" in conf["data"]
        problem = self._mismatch(snapshot, server, given)
        if problem or given or not refresh:
            return problem
        return "" if self.catalogue(server, token, api_version, conf) == snapshot else "Polar has other products now"

    def _mismatch(self, snapshot: Any, server: str, given: bool = False) -> str:
        if not readable(snapshot):
            return "no snapshot that this version of the template can read"
        if snapshot["server"] != server:
            return f"taken from {snapshot['server']}, not from {server}"
        named = None if given else self.environment.globals["polar_base_url"](server)
        if named and named != snapshot["base_url"]:
            return "taken from another address than POLAR_BASE_URL"
        return ""

    def _recorded(self, conf: Mapping[str, Any]) -> dict[str, Any] | None:
        snapshot = recorded_answers(conf).get("polar_catalog")
        return snapshot if readable(snapshot) else None

"""`catalog`: what the code sells, compared with Polar."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

import typer
from rich.text import Text

from copier_polar import money
from copier_polar.console import AsJson, bad, good, note, show, warn
from copier_polar.facts import Catalogue, Price, Product
from copier_polar.generated import unsellable
from copier_polar.polar import Json
from copier_polar.polar_admin import PolarAdmin
from copier_polar.project import CALL, Opened, open_bridge
from copier_polar.read import integer, objects, text

PRODUCTS, READ = "/v1/products/", "products:read"
REFRESH = "update --defaults --data refresh_catalog=true"
CHOOSE = "update --data refresh_catalog=true"  # asks which products are sold
CONNECT = "update --data polar_server=sandbox"
# What customers meet: a price they are shown and do not pay, or a product that they cannot buy.
MATTERS = {"demo", "missing", "archived", "price"}
SAY = {
    "demo": "The products are demo products: their ids are not real.",
    "missing": "{product}: is not at Polar",
    "archived": "{product}: is no longer for sale at Polar",
    "restored": "{product}: is for sale at Polar again",
    "renamed": "{product}: is called {after} at Polar, not {before}",
    "price": "{product}: costs {after} at Polar, not {before}",
    "benefits": "{product}: gives {after} at Polar, not {before}",
    "benefit_renamed": "{product}: its benefit is called {after} at Polar, not {before}",
    "new": "{after}: is for sale at Polar and not in the code",
    "unsellable": "{after}: is for sale at Polar, and a project cannot sell it: {before}",
}

catalog = typer.Typer(help="Look after the catalogue.", no_args_is_help=True)


@catalog.command()
def diff(as_json: AsJson = False) -> None:
    """Compare the catalogue of the code with Polar's products.

    Says what was renamed, archived or added, and which prices and benefits changed, and names the command that brings
    it into the code. Ends with 1 where customers are shown what does not
    hold: a price changed, or a product is archived or gone.

    Example: uv run billing catalog diff
    """
    with open_bridge() as opened:
        opened.require_settings()
        note(f"Target: Polar's {opened.facts.settings.server}")
        differences, command = compared(opened)
    matters = any(difference["matters"] for difference in differences)
    helps = any(difference["kind"] != "unsellable" for difference in differences)
    result = {"differences": differences, "command": command if helps else None}
    show(result, _lines(differences, result["command"]), as_json=as_json)
    if matters:
        raise typer.Exit(1)


def compared(opened: Opened) -> tuple[list[Json], str]:
    """Return the differences, and the command that brings them into the code, as it is typed in the project."""
    call = CALL[opened.project.runtime]
    if opened.facts.settings.server == "demo":
        return [_difference("demo")], f"{call} {CONNECT}"
    with PolarAdmin.of(opened) as polar:
        found = list(differences_from(opened.facts.catalogue, polar.items(PRODUCTS, READ)))
    new = [difference["id"] for difference in found if difference["kind"] == "new"]
    return found, f"{call} {_command(opened, new)}"


def _command(opened: Opened, new: Sequence[str]) -> str:
    """Return the command that brings everything into the code, the new products too: a refresh chooses none of them."""
    if not new:
        return REFRESH
    answers = opened.project.answers
    keys = {product["id"]: product["key"] for product in answers["polar_catalog"].get("products", [])}
    if not all(product_id in keys for product_id in new):
        return CHOOSE
    products = ", ".join([*answers["products"], *(keys[product_id] for product_id in new)])
    return f"{REFRESH} --data 'products=[{products}]'"


def differences_from(code: Catalogue, products: Iterable[Json]) -> Iterator[Json]:
    """Compare the code with Polar's products: those of the code in its order, then those that it does not have."""
    there = {product["id"]: product for product in products}
    for product in code.products:
        at_polar = there.pop(product.id, None)
        if at_polar is None:
            yield _difference("missing", product)
        else:
            yield from _compare(code, product, at_polar)
    for product_id, at_polar in sorted(there.items()):
        if _is_for_sale(at_polar) and not _is_private(at_polar):  # the template chooses no private one by itself
            name, why = text(at_polar, "name"), unsellable(at_polar)
            yield _difference("unsellable" if why else "new", None, product_id, before=why or None, after=name)


def _compare(code: Catalogue, product: Product, at_polar: Json) -> Iterator[Json]:
    name = text(at_polar, "name") or ""
    if not _same(product.name, name):
        yield _difference("renamed", product, before=product.name, after=name)
    # A private product may be hidden here on purpose: the answer `private_products` says so.
    is_hidden = product.archived and _is_private(at_polar)
    if product.archived == _is_for_sale(at_polar) and not is_hidden:
        yield _difference("restored" if product.archived else "archived", product)
    before, after = sorted(map(_price, product.prices)), sorted(_polar_prices(code, at_polar))
    if before != after:
        yield _difference("price", product, before=before, after=after)
    yield from _compare_benefits(code, product, at_polar)


def _compare_benefits(code: Catalogue, product: Product, at_polar: Json) -> Iterator[Json]:
    here = {benefit.id: benefit.description for benefit in code.benefits if benefit.key in product.benefits}
    there = {
        str(benefit.get("id")): text(benefit, "description") or "" for benefit in objects(at_polar, "benefits") or []
    }
    if here.keys() != there.keys():
        yield _difference("benefits", product, before=_by_id(here), after=_by_id(there))
    for id_ in sorted(here.keys() & there.keys()):
        if not _same(here[id_], there[id_]):
            yield _difference("benefit_renamed", product, before=here[id_], after=there[id_])


def _by_id(texts: Mapping[str, str]) -> list[str]:
    return [texts[id_] for id_ in sorted(texts)]


def _difference(
    kind: str,
    product: Product | None = None,
    product_id: str | None = None,
    *,
    before: object = None,
    after: object = None,
) -> Json:
    return {
        "kind": kind,
        "matters": kind in MATTERS,
        "product": product.key if product else None,
        "id": product.id if product else product_id,
        "before": before,
        "after": after,
    }


def _is_private(at_polar: Json) -> bool:
    return at_polar.get("visibility") == "private"


def _is_for_sale(at_polar: Json) -> bool:
    """Do what the template does when it asks Polar: archived products and drafts are left out."""
    return at_polar.get("is_archived") is not True and at_polar.get("visibility") != "draft"


def _same(here: str, there: str) -> bool:
    """Compare texts but for what the template takes out of them: controls, and which white space it is.

    Where nothing else is in Polar's, the code has a stand-in.
    """
    return _bare(there) in {_bare(here), ""}


def _bare(value: str) -> str:
    return "".join(one for one in value if not one.isspace() and unicodedata.category(one)[0] != "C")


def _price(price: Price) -> str:
    return _shown(
        price.type, price.currency, price.amount, price.minimum, price.maximum, price.preset, price.unit_amount
    )


def _polar_prices(code: Catalogue, at_polar: Json) -> Iterator[str]:
    """Read Polar's prices of today as the code writes its own; an old price stays at Polar, archived."""
    for price in objects(at_polar, "prices") or []:
        if not price.get("is_archived"):
            names = ("price_amount", "minimum_amount", "maximum_amount", "preset_amount")
            currency = (text(price, "price_currency") or code.organization.default_currency).lower()
            amounts = (integer(price, name) for name in names)
            yield _shown(text(price, "amount_type") or "unknown", currency, *amounts, price.get("unit_amount"))


def _shown(kind: str, currency: str, *amounts: object) -> str:
    """Write a price, such as `fixed 10.00 usd`; the amounts that its type does not have are left out."""
    *whole, unit_amount = amounts
    names = ("", "from ", "to ", "preset ")
    named = [(name, value) for name, value in zip(names, whole, strict=True) if isinstance(value, int)]
    told = [f"{name}{money.amount(value, currency)}" for name, value in named]
    if unit_amount is not None:
        told.append(money.per_unit(unit_amount, currency))
    return " ".join([kind, *(told or [currency])])


def _lines(differences: list[Json], command: str | None) -> list[str | Text]:
    if not differences:
        return [good("The catalogue of the code is Polar's.")]
    lines: list[str | Text] = [(bad if one["matters"] else warn)(_said(one)) for one in differences]
    return [*lines, f"To bring it into the code: {command}"] if command else lines


def _said(difference: Json) -> str:
    values = {name: _listed(difference[name]) for name in ("before", "after")}
    return SAY[difference["kind"]].format(product=difference["product"], **values)


def _listed(value: object) -> str:
    if isinstance(value, list):
        return " + ".join(map(str, value)) or "nothing"
    return f'"{value}"'

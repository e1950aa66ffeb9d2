"""What the questions offer, what they refuse, and the facts that templates read.

Copier drops an answer that no longer fits and takes the default: right for a snapshot, wrong for a person's choice. So
the raw answer, as given or recorded, is checked by `stop_if_wrong`, which ends the run with one line instead.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Mapping
from typing import Any

import yaml
from copier.errors import UserMessageError
from jinja2 import Environment
from jinja2.ext import Extension

_SELLABLE = ("fixed", "custom")
_METERED = ("metered_unit", "metered_tiers")
_NOT_YET = {
    "seat_based": "priced per seat, which is not supported yet",
    "unit_based": "priced per unit, which is not supported yet",
}
_ZERO_DECIMAL = (
    "bif",
    "clp",
    "djf",
    "gnf",
    "jpy",
    "kmf",
    "krw",
    "mga",
    "pyg",
    "rwf",
    "ugx",
    "vnd",
    "vuv",
    "xaf",
    "xof",
    "xpf",
)
GRACE_DAYS = (0, 2, 7, 14, 21)
PRORATIONS = ("prorate", "invoice", "next_period", "reset")
_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_OWN_PATHS = ("/billing", "/webhooks", "/healthz", "/docs", "/openapi.json", "/redoc")


# --- products -----------------------------------------------------------------------------------------------------


def unsellable(product: dict[str, Any]) -> str:
    """Why a product cannot be sold by a generated project; empty where it can."""
    types = {price["type"] for price in product["prices"]}
    for name in sorted(types - {*_SELLABLE, *_METERED}):
        return _NOT_YET.get(name, f"its price type {name[:40]} is unknown to this version of the template")
    if not types & {*_SELLABLE}:
        return "billed by usage only, which is not supported yet" if types else "it has no price"
    if any(price["type"] == "fixed" and price["amount"] is None for price in product["prices"]):
        return "a price without an amount"
    return ""


def is_free(product: dict[str, Any]) -> bool:
    """Whether its only price is a fixed 0, in every currency."""
    prices = product["prices"]
    return bool(prices) and all(price["type"] == "fixed" and price["amount"] == 0 for price in prices)


def is_private(product: dict[str, Any]) -> bool:
    """Whether its merchant sells it by link only (Polar: `visibility`)."""
    return product.get("private") is True


def _money(price: dict[str, Any]) -> str:
    """A price for people; Polar counts in the smallest unit of a currency."""
    currency, amount = price["currency"], price["amount"]
    if price["type"] == "custom":
        return f"any price in {currency.upper()}"
    if price["type"] in _METERED:
        return "usage"
    if amount == 0:
        return "free"
    whole = currency in _ZERO_DECIMAL
    return f"{amount if whole else f'{amount // 100}.{amount % 100:02d}'} {currency.upper()}"


def _label(product: dict[str, Any]) -> str:
    count = product["interval_count"] or 1
    every = f"every {count} {product['interval']}s" if count > 1 else f"per {product['interval']}"
    terms = every if product["interval"] else ("recurring" if product["recurring"] else "once")
    price = _money(product["prices"][0]) if product["prices"] and not unsellable(product) else ""
    marks = ["no longer sold" if product["archived"] else "", "private: sold by link" if is_private(product) else ""]
    details = ", ".join(filter(None, [price, terms, *marks]))
    return f"{product['name']} [{product['key']}]: {details}"


def _choices(products: list[dict[str, Any]], reasons: bool) -> list[list[Any]]:
    """Choices as Copier takes them. It renders every text in them as a template once more, so braces are hidden."""

    def hidden(text: str) -> str:
        return text.replace("{", "{{ '{' }}")

    choices = []
    for product in products:
        reason = unsellable(product) if reasons else ""
        value = {"value": product["key"], "validator": hidden(reason)} if reason else product["key"]
        choices.append([hidden(_label(product)), value])
    return choices


def _chosen(snapshot: dict[str, Any], keys: list[str]) -> list[dict[str, Any]]:
    return [product for product in snapshot["products"] if product["key"] in keys]


def product_choices(snapshot: dict[str, Any]) -> list[list[Any]]:
    """All products; those that cannot be sold with the reason."""
    return _choices(snapshot["products"], reasons=True)


def premium_choices(snapshot: dict[str, Any], keys: list[str]) -> list[list[Any]]:
    """The chosen products."""
    return _choices(_chosen(snapshot, keys), reasons=False)


def default_products(snapshot: dict[str, Any], recorded: Any) -> list[str]:
    """What was chosen before, as far as it is there; at first everything that can be sold to all."""
    sellable = [product for product in snapshot["products"] if not unsellable(product)]
    kept = [product["key"] for product in sellable if isinstance(recorded, list) and product["key"] in recorded]
    return kept or [product["key"] for product in sellable if not product["archived"] and not is_private(product)]


def premium_default(snapshot: dict[str, Any], keys: list[str], recorded: Any = None, before: Any = ()) -> list[str]:
    """What is left of the premium products of before; at first the chosen products that cost something.

    Where nothing is left, `before` are the products chosen then: one that was none of the premium ones stays so.
    """
    kept = [key for key in keys if isinstance(recorded, list) and key in recorded]
    left_out = before if isinstance(before, list) and isinstance(recorded, list) else ()
    return kept or [
        product["key"] for product in _chosen(snapshot, keys) if not is_free(product) and product["key"] not in left_out
    ]


def products_problem(answer: Any, snapshot: dict[str, Any]) -> str:
    """What is wrong with the products that were chosen."""
    if not _is_keys(answer):
        return "give a list of keys, such as [pro_monthly, pro_yearly]."
    known = {product["key"]: product for product in snapshot["products"]}
    if unknown := [key for key in answer if key not in known]:
        return (
            f"{', '.join(unknown)} {'is' if len(unknown) == 1 else 'are'} not in the catalogue of "
            f"{snapshot['server']}, which has: {_some([key for key in known if not unsellable(known[key])])}. "
            "Create what is missing at Polar under the same name, or choose again: --data 'products=[key, key]'."
        )
    if refused := [f"{key} ({reason})" for key in answer if (reason := unsellable(known[key]))]:
        return f"{', '.join(refused)} cannot be sold."
    return "" if answer else "choose at least one product."


def premium_problem(answer: Any, snapshot: dict[str, Any], keys: list[str], given: bool = True) -> str:
    """What is wrong with the premium products; a recorded one that is no longer chosen is simply none any more."""
    if not _is_keys(answer):
        return "give a list of keys, such as [pro_monthly]."
    known = keys if given else [product["key"] for product in snapshot["products"]]
    if unknown := [key for key in answer if key not in known]:
        return f"{', '.join(unknown)}: choose from the products: {_some(keys)}: --data 'premium_products=[key, key]'."
    return ""


def sells_private(snapshot: dict[str, Any], keys: list[str]) -> bool:
    """Whether one of the chosen products is private."""
    return any(map(is_private, _chosen(snapshot, keys)))


def private_default(snapshot: dict[str, Any], keys: list[str], recorded: Any) -> str:
    """Private products are hidden, unless the project of before has one: it sells it."""
    before = [key for key in keys if isinstance(recorded, list) and key in recorded]
    return "sell" if sells_private(snapshot, before) else "hide"


def sells_default(snapshot: dict[str, Any], keys: list[str], recorded: Any = ()) -> list[str]:
    """What the chosen products are, and what was answered before."""
    needed = {"subscriptions" if product["recurring"] else "one_time" for product in _chosen(snapshot, keys)}
    return [kind for kind in ("subscriptions", "one_time") if kind in needed or kind in (recorded or ())]


def sells_problem(answer: Any, snapshot: dict[str, Any], keys: list[str]) -> str:
    """What is sold must include what the chosen products are."""
    if not _is_keys(answer) or not set(answer) <= {"subscriptions", "one_time"}:
        return "give a list of: subscriptions, one_time."
    for kind in sells_default(snapshot, keys):
        if kind not in answer:
            names = [p["key"] for p in _chosen(snapshot, keys) if p["recurring"] == (kind == "subscriptions")]
            return f"without {kind}, leave out the products that are sold so: {_some(names)}."
    return ""


def _is_keys(answer: Any) -> bool:
    return isinstance(answer, list) and all(isinstance(key, str) for key in answer)


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:20]) + (f" and {len(keys) - 20} more" if len(keys) > 20 else "")


# --- other questions ----------------------------------------------------------------------------------------------


def name_problem(answer: Any) -> str:
    """A project's name is printable text on one line."""
    if not isinstance(answer, str) or not answer.strip() or len(answer) > 80:
        return "give a name of 1 to 80 characters."
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") for character in answer):
        return "only characters that print, on one line."
    return ""


def path_problem(answer: Any) -> str:
    """A path of plain segments that none of the project's own routes has."""
    if not isinstance(answer, str) or not _PATH.fullmatch(answer) or len(answer) > 100:
        return "begin with /, do not end with /, and use letters, digits, '-', '_', '.' and '~', such as /api/premium."
    if any(f"{answer}/".startswith(f"{own}/") for own in _OWN_PATHS):
        return f"the project has routes of its own at {', '.join(_OWN_PATHS)}."
    return ""


def choice_problem(answer: Any, choices: list[Any]) -> str:
    """One of the choices, as Copier compares them: by their text."""
    known = [str(choice) for choice in choices]
    return "" if str(answer) in known else f"choose one of: {', '.join(known)}."


def grace_choices(snapshot: dict[str, Any], decided: Any) -> list[int]:
    """Days that Polar offers, whatever else the organization has, and what was decided when it had that."""
    own = snapshot["organization"]["grace_days"]
    also = {days for days in (own, decided) if type(days) is int and 0 <= days <= 365}
    return sorted({*GRACE_DAYS, *also})


def grace_default(snapshot: dict[str, Any]) -> int:
    """The organization's own grace period, where it is known."""
    own = snapshot["organization"]["grace_days"]
    return 7 if own is None else int(own)


def proration_default(snapshot: dict[str, Any]) -> str:
    """The organization's own proration, where it is known."""
    own = snapshot["organization"]["proration"]
    return own if own in PRORATIONS else "prorate"


def warn_of_token_argument(conf: Mapping[str, Any]) -> None:
    """A process argument can be read by every user of the machine, and stays in the shell's history."""
    token = str(conf["data"].get("polar_access_token") or "")
    if token and not conf["quiet"] and any(token in argument for argument in sys.argv):
        print(
            "Warning: the token is a process argument, which others on this machine can read. "
            "Use the environment variable POLAR_ACCESS_TOKEN.",
            file=sys.stderr,
        )


# --- what templates read ------------------------------------------------------------------------------------------


def billing_facts(
    snapshot: dict[str, Any], keys: list[str], premium: list[str], private: str = "sell"
) -> dict[str, Any]:
    """The chosen part of the snapshot: what `billing` is in every template. What is hidden is not for sale."""
    products = [
        {
            **product,
            "premium": product["key"] in premium,
            "free": is_free(product),
            "hidden": private == "hide" and is_private(product),
        }
        for product in _chosen(snapshot, keys)
    ]
    wanted = {key for product in products for key in product["benefits"]}
    metered = any(price["type"] in _METERED for product in products for price in product["prices"])
    return {
        "server": snapshot["server"],
        "base_url": snapshot["base_url"],
        "organization": snapshot["organization"],
        "products": products,
        "benefits": [benefit for benefit in snapshot["benefits"] if benefit["key"] in wanted],
        "meters": snapshot["meters"] if metered else [],
    }


def project_slug(name: str) -> str:
    """A name for packages and Workers: lower-case letters, digits and single hyphens."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    text = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:54].strip("-")
    return text if text[:1].isalpha() else f"app-{text}".strip("-")


class Answers(Extension):
    """Registers what `copier.yml` calls."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals |= {
            "stop_if_wrong": self.stop_if_wrong,
            "default_products": self.default_products,
            "default_premium": self.default_premium,
            "default_sells": self.default_sells,
            "default_private": self.default_private,
            "grace_choices": self.grace_choices,
            "answers_that_changed": self.answers_that_changed,
            **{
                function.__name__: function
                for function in (
                    product_choices,
                    products_problem,
                    premium_choices,
                    premium_problem,
                    sells_problem,
                    sells_private,
                    name_problem,
                    path_problem,
                    choice_problem,
                    unsellable,
                    grace_default,
                    proration_default,
                    warn_of_token_argument,
                    billing_facts,
                )
            },
        }
        environment.filters["project_slug"] = project_slug

    def _recorded(self, conf: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.environment.globals["recorded_answers"](conf)
        return found

    def default_products(self, snapshot: dict[str, Any], conf: Mapping[str, Any]) -> list[str]:
        """`default_products`, with the recorded answer."""
        return default_products(snapshot, self._recorded(conf).get("products"))

    def default_premium(self, snapshot: dict[str, Any], keys: list[str], conf: Mapping[str, Any]) -> list[str]:
        """`premium_default`, with the recorded answer."""
        recorded = self._recorded(conf)
        return premium_default(snapshot, keys, recorded.get("premium_products"), recorded.get("products"))

    def default_sells(self, snapshot: dict[str, Any], keys: list[str], conf: Mapping[str, Any]) -> list[str]:
        """`sells_default`, with the recorded answer."""
        return sells_default(snapshot, keys, self._recorded(conf).get("sells"))

    def default_private(self, snapshot: dict[str, Any], keys: list[str], conf: Mapping[str, Any]) -> str:
        """`private_default`, with the recorded answer."""
        return private_default(snapshot, keys, self._recorded(conf).get("products"))

    def grace_choices(self, snapshot: dict[str, Any], conf: Mapping[str, Any]) -> list[int]:
        """`grace_choices`, with the recorded answer; within an update Copier hands that on beside the snapshot."""
        decided = conf["data"] if "polar_catalog" in conf["data"] else self._recorded(conf)
        return grace_choices(snapshot, decided.get("past_due_grace_days"))

    def answers_that_changed(self, conf: Mapping[str, Any], answers: Mapping[str, Any]) -> list[str]:
        """Names of the answers that are recorded otherwise; products that were added ask for nothing."""
        recorded = self._recorded(conf)
        if recorded.get("runtime", answers["runtime"]) != answers["runtime"]:
            return ["runtime"]  # and with it all else
        changed = [name for name, answer in answers.items() if name in recorded and recorded[name] != answer]
        if set(recorded.get("products") or ()) <= set(answers["products"]):
            changed = [name for name in changed if name != "products"]
        return changed

    def stop_if_wrong(
        self, conf: Mapping[str, Any], question: str, problem: str, *arguments: Any, recorded: bool = True
    ) -> bool:
        """End the run if the raw answer, given or recorded, is wrong; True otherwise, for `ask:`.

        `problem` names the function that says what is wrong. Copier itself would drop unknown values of a list without
        a word, forget a recorded answer that is wrong, and show a traceback for a given one. Where the question is
        going to be shown, the person can put a recorded answer right there. `recorded=False` where a recorded answer
        that no longer fits has a default that keeps what it can of it.
        """
        given = next((source for source in (conf["data"], conf["user_defaults"]) if question in source), None)
        if given is None and not (recorded and (conf["defaults"] or conf["skip_answered"])):
            return True
        answers = self._recorded(conf) if given is None else given
        if question not in answers:
            return True
        answer = answers[question]
        if isinstance(answer, str) and question in ("products", "premium_products", "sells"):
            try:
                answer = yaml.safe_load(answer)
            except yaml.YAMLError:
                answer = None
        if question == "premium_products" and given is None and "products" in conf["data"]:
            return True  # chosen anew, by keys of another catalogue perhaps: premium is what is left of it
        extra = {"given": given is not None} if problem == "premium_problem" else {}
        if found := self.environment.globals[problem](answer, *arguments, **extra):
            raise UserMessageError(f"{question}: {found}")
        return True

"""Asks Polar for an account's organization and products, through the client of polar-sdk.

The SDK's client carries the requests (API version, authorization, time-outs, network errors). Its services come with
models that take half a second to import, and would refuse an answer for one missing field or one new enum value: so the
JSON is handed on as it is and `snapshot.py` reads the fields it uses. Whatever goes wrong is one line for the user that
says what to do; no line ever has the token in it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import ModuleType
from typing import Any, NoReturn
from urllib.parse import urlsplit

from copier.errors import UserMessageError
from jinja2 import Environment
from jinja2.ext import Extension

# The addresses that the SDK has beside its services; a test holds them to it.
SERVERS = {"sandbox": "https://sandbox-api.polar.sh", "production": "https://api.polar.sh"}
DASHBOARDS = {"sandbox": "https://sandbox.polar.sh", "production": "https://polar.sh"}
_CACHE_FORMAT = 1
_PAGE = 100
_PAGES = 100
_LARGEST = 32 * 1024 * 1024  # bytes of one answer, unpacked; 100 products of Polar's have some 300 KB
_SLOWEST = 4  # one whole answer may take so many times what each part of it may
_TRIES = 4
_LONGEST_WAIT = 120.0  # seconds: all waiting between the tries of one request
_TOKEN = re.compile(r"[\x21-\x7e]+")


def polar_base_url(server: str) -> str | None:
    """The address in POLAR_BASE_URL, None where Polar's own is meant."""
    url = os.environ.get("POLAR_BASE_URL", "").strip().rstrip("/")
    if not url or server == "demo":
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment or not url.isascii():
        raise UserMessageError("POLAR_BASE_URL must be an http(s) address without user name or query.")
    return url


def ask_polar(server: str, token: str, api_version: str, quiet: bool = False) -> dict[str, Any]:
    """Organization (None where the token may not read it) and products of an account, as Polar answers.

    One process asks once: an update renders several times. What is kept is plain data, so that no code of one version
    of the template reaches another; failures are kept too, so that nobody waits for them twice.
    """
    base_url = polar_base_url(server)
    token = token.strip()
    if not token:
        raise UserMessageError(
            f"No token for Polar ({server}): put an organization access token into the environment variable "
            f"POLAR_ACCESS_TOKEN (make one at {DASHBOARDS[server]}, Settings > Developers, with the scopes "
            "products:read and organizations:read), or use polar_server=demo."
        )
    if not _TOKEN.fullmatch(token):
        raise UserMessageError(
            "POLAR_ACCESS_TOKEN has spaces or characters that no token of Polar's has: copy it again."
        )
    key = (_CACHE_FORMAT, server, base_url, api_version, hashlib.sha256(token.encode()).hexdigest())
    cache = _cache()
    if key not in cache:
        try:
            cache[key] = {"answer": _Asking(server, base_url, token, api_version, quiet).account()}
        except UserMessageError as error:
            cache[key] = {"error": error.message}
    if "error" in cache[key]:
        raise UserMessageError(cache[key]["error"])
    answer: dict[str, Any] = cache[key]["answer"]
    return answer


def _cache() -> dict[Any, Any]:
    """Plain data that outlives the hook files, which Copier executes anew for every rendering."""
    holder = sys.modules.setdefault("copier_polar_answers", ModuleType("copier_polar_answers"))
    answers: dict[Any, Any] = holder.__dict__.setdefault("answers", {})
    return answers


def _seconds() -> float:
    """How long Polar may take for an answer: POLAR_TIMEOUT, or 15 seconds."""
    given = os.environ.get("POLAR_TIMEOUT") or "15"
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", given) or not float(given):
        raise UserMessageError("POLAR_TIMEOUT must be a number of seconds, such as 30.")
    return float(given)


class _Asking:
    """The requests for one account."""

    def __init__(self, server: str, base_url: str | None, token: str, api_version: str, quiet: bool) -> None:
        # A third of a second to import: only who asks pays for it.
        try:
            from polar.base import SyncClientBase, resolve_base_url
        except ImportError:
            raise UserMessageError(
                "Polar is asked through polar-sdk, which is not installed beside Copier: use `copier-polar new` or "
                "`copier-polar update`, or give uvx `--with polar-sdk`."
            ) from None

        self.seconds = _seconds()
        self.client = SyncClientBase(resolve_base_url(SERVERS, server, base_url), api_version, token, self.seconds)
        self.server = server
        self.api_version = api_version
        self.where = f"Polar ({server}{f' at {base_url}' if base_url else ''})"
        self.quiet = quiet

    def account(self) -> dict[str, Any]:
        with self.client:
            products = self._products()
            if not products:
                return {"organization": None, "products": []}
            owners = sorted({str(product.get("organization_id")) for product in products})
            if len(owners) > 1:
                raise UserMessageError(
                    f"{self.where} gave products of {len(owners)} organizations: use an organization access token, "
                    f"made at {DASHBOARDS[self.server]}, Settings > Developers."
                )
            return {"organization": self._organization(owners[0]), "products": products}

    def _products(self) -> list[dict[str, Any]]:
        """Products that are for sale, oldest first, so that new ones come last whatever the page."""
        found: dict[Any, dict[str, Any]] = {}
        page, last = 1, 1
        while page <= last:
            query = {"is_archived": False, "page": page, "limit": _PAGE, "sorting": ["created_at"]}
            status, answer = self._get("/v1/products/", query)
            if status != 200:
                self._refuse(status, answer)
            items = answer.get("items") if isinstance(answer, dict) else None
            if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("id") for item in items):
                raise UserMessageError(
                    f"{self.where} gave an answer that is no list of products. {self._is_it_polar()}"
                )
            found |= {item["id"]: item for item in items}
            pagination = answer.get("pagination")
            pages = pagination.get("max_page") if isinstance(pagination, dict) else None
            last = pages if isinstance(pages, int) else page + (len(items) == _PAGE)
            if last > _PAGES:
                raise UserMessageError(
                    f"{self.where} has more than {_PAGES} pages of products, which are not read. {self._is_it_polar()}"
                )
            if last > 1:
                self._say(f"{self.where}: {len(found)} products read, page {page} of {last}")
            page += 1
            if not items:
                break
        total = pagination.get("total_count") if isinstance(pagination, dict) else None
        if page <= last or (isinstance(total, int) and total > len(found)):
            raise UserMessageError(
                f"{self.where} gave {len(found)} of {total or 'more'} products: try again. Nothing was changed."
            )
        return [item for item in found.values() if not item.get("is_archived") and item.get("visibility") != "draft"]

    def _organization(self, organization_id: str) -> dict[str, Any] | None:
        status, answer = self._get(f"/v1/organizations/{organization_id}", {})
        if status == 200 and isinstance(answer, dict):
            return answer
        if status in (401, 403, 404):
            self._say(
                f"{self.where}: the token may not read the organization (scope organizations:read): what is known of "
                "it stays, and what is not starts from general defaults."
            )
            return None
        self._refuse(status, answer)

    def _get(self, path: str, query: dict[str, Any]) -> tuple[int, Any]:
        """Status and JSON of an answer; tried again after 429, 5xx and broken connections, within limits."""
        from polar import PolarNetworkError

        waited = 0.0
        for attempt in range(1, _TRIES + 1):
            wait = 0.5 * 2 ** (attempt - 1)
            try:
                response = self._send(self.client.build_request("GET", path, query_params=query))
            except PolarNetworkError as error:
                trouble = self._unreachable(error)
            else:
                status = response.status_code
                if status != 429 and status < 500:
                    return status, self._json(response)
                asked = response.headers.get("retry-after", "")
                wait = float(asked) if re.fullmatch(r"\d{1,6}", asked) else wait
                limited = "too many requests: wait a minute and try again."
                trouble = limited if status == 429 else f"a fault of its own ({status}): try again in a while."
                trouble = f"{self.where} answers: {trouble}"
            if attempt == _TRIES or waited + wait > _LONGEST_WAIT:
                break
            if wait > 2:
                self._say(f"{self.where} asks to wait {wait:.0f} s")
            time.sleep(wait)
            waited += wait
        raise UserMessageError(trouble)

    def _send(self, request: Any) -> Any:
        """The answer, within limits of size and time: a time-out of the client's is for each part that arrives."""
        import httpx
        from polar import PolarNetworkError

        def send() -> httpx.Response:
            body = bytearray()
            try:
                answer = self.client._client.send(request, stream=True)
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _LARGEST:
                        raise UserMessageError(
                            f"{self.where} gives more than {_LARGEST >> 20} MB. {self._is_it_polar()}"
                        )
                answer.close()
            except httpx.RequestError as error:
                raise PolarNetworkError(str(error)) from error
            headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
            return httpx.Response(answer.status_code, headers=headers, content=bytes(body))

        limit = _SLOWEST * self.seconds
        try:
            return _within(limit, send)
        except FutureTimeout:
            slow = f"{self.where} needs more than {limit:g} s for an answer. {self._is_it_polar()}"
            raise UserMessageError(slow) from None

    def _json(self, response: Any) -> Any:
        status = response.status_code
        if 300 <= status < 400:
            raise UserMessageError(f"{self.where} redirects to another address ({status}). {self._is_it_polar()}")
        try:
            return response.json()
        except (ValueError, RecursionError):
            if status in (401, 403):
                return None
            kind = "a web page" if "html" in response.headers.get("content-type", "") else "no readable JSON"
            raise UserMessageError(f"{self.where} answers with {kind} ({status}). {self._is_it_polar()}") from None

    def _refuse(self, status: int, answer: Any) -> NoReturn:
        home = DASHBOARDS[self.server]
        if status == 401:
            other = "production" if self.server == "sandbox" else "sandbox"
            raise UserMessageError(
                f"{self.where} does not accept this token: it is wrong, expired or revoked, or, most likely, one of "
                f"{other}, whose tokens are its own. Make one at {home}, Settings > Developers, or answer "
                f"polar_server={other}."
            )
        if status == 403:
            raise UserMessageError(
                f"The token lacks a scope that {self.where} asks for: give it products:read (and organizations:read) "
                f"at {home}, Settings > Developers."
            )
        if status == 404:
            raise UserMessageError(
                f"{self.where} does not know the address or API version {self.api_version} any more: update the "
                "template, and see that POLAR_BASE_URL, if set, has no /v1."
            )
        raise UserMessageError(f"{self.where} refuses the request ({status}). {self._is_it_polar()}")

    def _unreachable(self, error: Exception) -> str:
        cause = error.__cause__
        slow = "timeout" in type(cause).__name__.lower()
        why = "did not answer in time" if slow else f"cannot be reached ({type(cause).__name__})"
        return f"{self.where} {why}: check the network, and POLAR_BASE_URL if it is set; or use polar_server=demo."

    def _is_it_polar(self) -> str:
        named = bool(os.environ.get("POLAR_BASE_URL"))
        return "Is POLAR_BASE_URL the address of Polar's API?" if named else "Is there a proxy in between?"

    def _say(self, line: str) -> None:
        if not self.quiet:
            print(line, file=sys.stderr, flush=True)


def _within(seconds: float, work: Callable[[], Any]) -> Any:
    """What it returns or raises; FutureTimeout after so many seconds, and then nobody waits for it any more."""
    done: Future[Any] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:  # raised again by whoever waits
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return done.result(seconds)


class PolarApi(Extension):
    """Registers `ask_polar(server, token, api_version)` and what the questions say about it."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.globals |= {
            "ask_polar": ask_polar,
            "polar_base_url": polar_base_url,
            "token_of_environment": lambda: os.environ.get("POLAR_ACCESS_TOKEN", "").strip(),
            "polar_dashboard": lambda server: DASHBOARDS.get(server, ""),
        }

"""Values of the environment as people paste them: trimmed, or refused at start with the name of the variable."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings, SettingsError, load_settings

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "support" / "disguises.json").read_text("utf-8"))
VARIABLES: dict[str, str] = TABLE["variables"]
KEYS = ("AUTH_JWKS_URL", "AUTH_ISSUER", "AUTH_AUDIENCE")
REQUIRED = ("POLAR_ACCESS_TOKEN", "POLAR_WEBHOOK_SECRET", "POLAR_SERVER", "APP_URL", "AUTH_JWT_SECRET", *KEYS)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def start(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> Settings:
    """Read a good environment with this value in it: keys of a provider, or a secret where that is the variable."""
    unused = (*KEYS, "AUTH_AUTHORIZED_PARTIES") if name == "AUTH_JWT_SECRET" else ("AUTH_JWT_SECRET",)
    if name == "AUTH_AUDIENCE":
        unused = (*unused, "AUTH_AUTHORIZED_PARTIES")
    for other, usual in VARIABLES.items():
        if other not in unused:
            monkeypatch.setenv(other, usual)
    monkeypatch.setenv(name, value)
    return load_settings()


def disguised(value: str, disguise: str) -> str:
    middle = len(value) // 2
    inside = disguise.replace("VAL", value[:middle]).replace("UE", value[middle:])
    whole = value + "x" * 20_000 if disguise == "LONG" else inside
    return disguise.replace("VALUE", value) if "VALUE" in disguise else whole


def test_every_variable_is_in_the_table() -> None:
    assert {name.lower() for name in VARIABLES} == set(Settings.model_fields)


@pytest.mark.parametrize("disguise", TABLE["trimmed"])
@pytest.mark.parametrize("name", VARIABLES)
def test_what_surrounds_a_value_is_taken_away(monkeypatch: pytest.MonkeyPatch, name: str, disguise: str) -> None:
    plain = start(monkeypatch, name, VARIABLES[name])
    assert start(monkeypatch, name, disguised(VARIABLES[name], TABLE["trimmed"][disguise])) == plain


@pytest.mark.parametrize("disguise", TABLE["refused"])
@pytest.mark.parametrize("name", VARIABLES)
def test_what_is_no_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, disguise: str) -> None:
    value = disguised(VARIABLES[name], TABLE["refused"][disguise])
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        start(monkeypatch, name, value)
    assert value not in str(caught.value)


@pytest.mark.parametrize("disguise", TABLE["empty"])
@pytest.mark.parametrize("name", VARIABLES)
def test_an_empty_value_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, name: str, disguise: str) -> None:
    if name in REQUIRED or (name == "DATABASE_URL" and Settings.model_fields["database_url"].default == ""):
        with pytest.raises(SettingsError, match=rf"\b{name}\b"):
            start(monkeypatch, name, TABLE["empty"][disguise])
    elif name != "MAIL_FROM":  # required with SMTP_URL
        start(monkeypatch, name, TABLE["empty"][disguise])


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, some in TABLE["wrong"].items() for value in some])
def test_examples_and_mistakes_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: ") as caught:
        start(monkeypatch, name, value)
    assert len(value) < 12 or value not in str(caught.value)


@pytest.mark.parametrize(("given", "origin"), TABLE["origins"].items())
def test_an_origin_has_one_form(monkeypatch: pytest.MonkeyPatch, given: str, origin: str) -> None:
    assert start(monkeypatch, "APP_URL", given).app_url == origin
    assert start(monkeypatch, "ALLOWED_ORIGINS", given).allowed_origins == (origin,)

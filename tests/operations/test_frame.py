"""The frame of the commands, on a real store: what they write, and what they say where they cannot."""

from __future__ import annotations

import base64
import hmac
import json

from tests.operations.cloudflare import Cloudflare
from tests.operations.side import JWT_SECRET, WEBHOOK_SECRET, Pair, now_us
from tests.support.render import TOKEN


def test_a_user_is_blocked_and_unblocked_and_it_is_written_down_who_did_it(pair: Pair) -> None:
    for side in pair.sides:
        for name in ("old", "new"):
            side.sql("INSERT INTO billing_customers (id, external_id, created_us) VALUES (?, 'user_1', 1)", [name])
    assert pair.both("block", "user_1").out == "Blocked: 2 customer(s) of this user.\n"
    for side in pair.sides:
        (blocked,) = side.sql("SELECT * FROM billing_blocked_users")
        assert (blocked["user_id"], blocked["blocked_us"] > 0) == ("user_1", True)
    assert all(row["check_us"] <= now_us() for side in pair.sides for row in side.sql("SELECT * FROM billing_access"))
    ran = pair.both("block", "user_1", "--off", "--json")
    assert ran.json == {"user": "user_1", "blocked": False, "customers": 2}
    assert pair.sql("SELECT * FROM billing_blocked_users") == []
    rows = pair.sql("SELECT command, subject, actor FROM billing_audit ORDER BY id")
    assert [(row["command"], row["subject"]) for row in rows] == [("block", "user_1"), ("unblock", "user_1")]
    line = {"event": "audit", "command": "unblock", "subject": "user_1", "actor": rows[0]["actor"]}
    assert json.loads(ran.err.splitlines()[-1]) == line


def test_a_token_is_for_that_user_and_signed_with_the_projects_secret(pair: Pair) -> None:
    for side in pair.sides:
        ran = side.run("token", "--user", "user_1", "--email", "ada@example.com", "--json", stored=False)
        assert (ran.code, ran.json["expires_in"]) == (0, 3600), ran.err
        audited = json.loads(ran.err.splitlines()[-1])
        assert (audited["event"], audited["command"], audited["subject"]) == ("audit", "token", "user_1")
        signed, _, signature = ran.json["token"].rpartition(".")
        assert _decoded(signature) == hmac.digest(JWT_SECRET.encode(), signed.encode(), "sha256")
        claims = json.loads(_decoded(signed.partition(".")[2]))
        assert (claims["sub"], claims["email"], claims["exp"] - claims["iat"]) == ("user_1", "ada@example.com", 3600)


def test_a_store_without_the_tables_is_one_clean_line(pair: Pair) -> None:
    for side in pair.sides:
        for file in side.database.parent.glob("*.sqlite*"):
            file.unlink()
    for side, ran in ((side, side.run("block", "user_1", "--json")) for side in pair.sides):
        assert (ran.code, ran.out) == (1, ""), side.variant.name
        assert ran.err.splitlines()[0].startswith("Target: ")
        assert ran.err.splitlines()[1:] == [
            "Error: The database does not answer or is not up to date; `migrate` brings it up to date."
        ]


def test_unfit_settings_are_named_and_their_values_are_not(pair: Pair) -> None:
    pair.both("block", "user_1", code=1, APP_URL="marker-value")
    for side in pair.sides:
        printed = side.run("block", "user_1", APP_URL="marker-value").err
        assert "APP_URL: must be an origin" in printed
        assert not [secret for secret in ("marker-value", TOKEN, WEBHOOK_SECRET) if secret in printed]


def test_migrating_twice_changes_nothing(pair: Pair) -> None:
    assert pair.both("migrate", "--json").json == {"current": True}


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def test_a_deployed_database_that_refuses_is_one_line(pair: Pair) -> None:
    with Cloudflare(status=403) as cloudflare:
        ran = pair.worker.run("unlinked", "--remote", stored=False, **cloudflare.environment)
    assert (ran.code, ran.out, cloudflare.puts) == (1, "", [])
    assert ran.err.splitlines()[0] == "Target: the deployed database"
    assert ran.err.splitlines()[-1].startswith("Error: The database cannot be reached. ")
    assert pair.fastapi.run("unlinked", "--remote").code == 2

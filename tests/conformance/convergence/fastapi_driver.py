"""Runs in a generated FastAPI project's own environment: plays deliveries at its code, tells what its store has then.

Usage: python fastapi_driver.py DATABASE_URL; one JSON question a line on stdin, one JSON answer a line on stdout.
"""

import json
import os
import sys

from app.billing.account import account_of
from app.billing.inbox import store_and_apply
from app.billing.reconcile import PolarGone, reconcile_customer
from app.billing.tables import metadata
from app.database import Database
from app.migrate import upgrade
from sqlalchemy import select


class Polar:
    """Answers with what it was given."""

    def __init__(self, truth):
        self.truth = truth

    def customer_state(self, customer_id):
        if self.truth[customer_id] is None:
            raise PolarGone
        return self.truth[customer_id]["state"]

    def subscriptions(self, customer_id):
        yield from self.truth[customer_id]["subscriptions"]

    def orders(self, customer_id):
        yield from self.truth[customer_id]["orders"]

    def grants(self, customer_id):
        yield from self.truth[customer_id]["grants"]


def play(database, question):
    with database.write() as connection:
        for table in metadata.tables.values():
            connection.execute(table.delete())
    now = question["now"]
    return [
        store_and_apply(database, webhook_id, body.encode(), now, {}).value for webhook_id, body in question["play"]
    ]


def reconcile(database, question):
    polar = Polar(question["reconcile"])
    return [reconcile_customer(database, polar, each, question["now"]).outcome for each in question["reconcile"]]


def rows_of(database):
    with database.read() as connection:
        return {
            name: [dict(row._mapping) for row in connection.execute(select(table))]
            for name, table in metadata.tables.items()
        }


def plain(value):
    return True if isinstance(value, bytes | memoryview) else str(value)


def main():
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = sys.stderr
    upgrade(sys.argv[1])
    database = Database.from_url(sys.argv[1])
    for line in sys.stdin:
        question = json.loads(line)
        outcomes = play(database, question) if "play" in question else reconcile(database, question)
        accounts = {user: account_of(database, user, question["now"]) for user in question["users"]}
        answer = {"outcomes": outcomes, "rows": rows_of(database), "accounts": accounts}
        print(json.dumps(answer, default=plain), file=answers, flush=True)


if __name__ == "__main__":
    main()

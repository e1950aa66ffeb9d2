"""The tables of billing. Instants are integers in microseconds (`_us`).

Nothing has a foreign key: events arrive in any order, an order may come before its customer. Rows hang on the id of the
Polar customer; the user is the customer's `external_id`. The three columns that end every projection say which event it
is the snapshot of: the newest wins, whatever arrives when.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text, text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _text(name: str, *, primary_key: bool = False, nullable: bool = True) -> Column[Any]:
    return Column(name, Text, primary_key=primary_key, nullable=nullable and not primary_key)


def _instant(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=True)


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=True)


def _count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False, server_default=text("false"))


def _version() -> tuple[Column[Any], ...]:
    """Return the columns that order snapshots: envelope timestamp, modified_at, webhook-id."""
    webhook_id = Column("webhook_id", Text, nullable=False, server_default=text("''"))
    return _count("version"), _count("modified_us"), webhook_id


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


webhook_events = Table(
    "billing_webhook_events",
    metadata,
    _text("webhook_id", primary_key=True),
    _text("type", nullable=False),
    _text("state", nullable=False),
    _count("version"),
    _text("customer_id"),
    Column("body", LargeBinary, nullable=True),
    _text("error"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _instant("next_attempt_us"),
    _count("received_us"),
    _instant("processed_us"),
    Index(None, "state", "next_attempt_us"),
    Index(None, "customer_id"),
    # Only what retention may still have to empty.
    Index("ix_billing_webhook_events_received_us", "received_us", **_where("body IS NOT NULL")),
)

customers = Table(
    "billing_customers",
    metadata,
    _text("id", primary_key=True),
    _text("external_id"),
    _text("email"),
    _text("name"),
    _text("type"),
    _count("created_us"),
    _instant("deleted_us"),
    _instant("blocked_us"),
    _instant("reconcile_us"),
    _count("reconciled_us"),
    _instant("erased_us"),
    _count("reconcile_failures"),
    *_version(),
    Index(None, "external_id", "created_us"),
    Index(None, "reconcile_us"),
    Index(None, "reconciled_us"),
)

customer_states = Table(
    "billing_customer_states",
    metadata,
    _text("customer_id", primary_key=True),
    _text("body", nullable=False),
    _count("compared_version"),
    *_version(),
    Index("ix_billing_customer_states_uncompared", "version", **_where("compared_version < version")),
)

members = Table(
    "billing_members",
    metadata,
    _text("id", primary_key=True),
    _text("customer_id"),
    _text("external_id"),
    _text("email"),
    _text("name"),
    _text("role"),
    _instant("deleted_us"),
    *_version(),
    Index(None, "external_id"),
    Index(None, "customer_id"),
)

subscriptions = Table(
    "billing_subscriptions",
    metadata,
    _text("id", primary_key=True),
    _text("customer_id", nullable=False),
    _text("product_id"),
    _text("app_user_id"),
    _text("status", nullable=False),
    _number("amount"),
    _text("currency"),
    _text("recurring_interval"),
    _number("recurring_interval_count"),
    _instant("current_period_start_us"),
    _instant("current_period_end_us"),
    _instant("trial_end_us"),
    _flag("cancel_at_period_end"),
    _instant("canceled_us"),
    _instant("started_us"),
    _instant("ends_us"),
    _instant("ended_us"),
    _instant("past_due_us"),
    _flag("pause_at_period_end"),
    _instant("resumes_us"),
    _number("seats"),
    _text("pending_product_id"),
    _text("checkout_id"),
    _count("created_us"),
    # A discount in percent, 10000 for all of it: then Polar may hold no card.
    _number("discount_basis_points"),
    # When Polar's answer to a change was written; reconciliation runs its reactions, should its events be lost.
    _instant("answered_us"),
    *_version(),
    Index(None, "customer_id"),
    Index(None, "app_user_id"),
    Index(None, "checkout_id"),
)

orders = Table(
    "billing_orders",
    metadata,
    _text("id", primary_key=True),
    _text("customer_id", nullable=False),
    _text("product_id"),
    _text("subscription_id"),
    _text("checkout_id"),
    _text("app_user_id"),
    _text("status", nullable=False),
    _text("billing_reason"),
    _number("amount"),
    _count("refunded_amount"),
    _text("currency"),
    _count("created_us"),
    # The status of the newest dispute at Polar; null while none is known. No event tells of it.
    _text("dispute_status"),
    *_version(),
    Index(None, "customer_id"),
    Index(None, "app_user_id"),
    Index(None, "checkout_id"),
)

benefit_grants = Table(
    "billing_benefit_grants",
    metadata,
    _text("id", primary_key=True),
    _text("customer_id", nullable=False),
    _text("member_id"),
    _text("benefit_id", nullable=False),
    _text("benefit_type"),
    _text("subscription_id"),
    _text("order_id"),
    _flag("is_granted"),
    _flag("is_revoked"),
    _instant("granted_us"),
    _instant("revoked_us"),
    _text("error"),
    _count("created_us"),
    *_version(),
    Index(None, "customer_id"),
    Index(None, "member_id"),
)

checkouts = Table(
    "billing_checkouts",
    metadata,
    _text("id", primary_key=True),
    _text("user_id"),
    _text("customer_id"),
    _text("product_id"),
    _text("subscription_id"),
    _text("status", nullable=False),
    _count("asked_us"),
    _instant("expires_us"),
    _count("created_us"),
    *_version(),
    Index(None, "user_id"),
    Index(None, "status", "created_us"),
)

# What each user's access was when it was last compared, and when to compare again: reactions to changes come from here.
access_states = Table(
    "billing_access",
    metadata,
    _text("user_id", primary_key=True),
    _flag("access"),
    _count("changes"),
    _instant("check_us"),
    _count("check_failures"),
    Index(None, "check_us"),
)

# Blocking is of a user, before and after any customer.
blocked_users = Table(
    "billing_blocked_users",
    metadata,
    _text("user_id", primary_key=True),
    _count("blocked_us"),
)

reactions = Table(
    "billing_reactions",
    metadata,
    _text("key", primary_key=True),
    _text("reaction", nullable=False),
    _text("object_id", nullable=False),
    _text("user_id"),
    _text("payload", nullable=False),
    _text("state", nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _instant("next_attempt_us"),
    _count("lease_us"),
    _text("error"),
    _count("created_us"),
    _instant("done_us"),
    Index(None, "state", "next_attempt_us"),
)

rate_limits = Table(
    "billing_rate_limits",
    metadata,
    _text("key", primary_key=True),
    _count("window_us"),
    Column("count", Integer, nullable=False, server_default=text("0")),
    Index(None, "window_us"),
)

audit = Table(
    "billing_audit",
    metadata,
    Column("id", Integer, primary_key=True),
    _count("at_us"),
    _text("command", nullable=False),
    _text("subject", nullable=False),
    _text("actor", nullable=False),
)

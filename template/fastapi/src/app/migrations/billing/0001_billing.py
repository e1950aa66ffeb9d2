"""Tables of billing."""

import sqlalchemy as sa
from alembic import op

revision = "billing_0001"
down_revision = None
branch_labels = ("billing",)
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "billing_webhook_events",
        sa.Column("webhook_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_us", sa.BigInteger(), nullable=True),
        sa.Column("received_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("processed_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_billing_webhook_events")),
    )
    op.create_index(op.f("ix_billing_webhook_events_customer_id"), "billing_webhook_events", ["customer_id"])
    op.create_index(
        "ix_billing_webhook_events_received_us",
        "billing_webhook_events",
        ["received_us"],
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_billing_webhook_events_state_next_attempt_us"), "billing_webhook_events", ["state", "next_attempt_us"]
    )
    op.create_table(
        "billing_customers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("deleted_us", sa.BigInteger(), nullable=True),
        sa.Column("blocked_us", sa.BigInteger(), nullable=True),
        sa.Column("reconcile_us", sa.BigInteger(), nullable=True),
        sa.Column("reconciled_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_customers")),
    )
    op.create_index(
        op.f("ix_billing_customers_external_id_created_us"), "billing_customers", ["external_id", "created_us"]
    )
    op.create_index(op.f("ix_billing_customers_reconcile_us"), "billing_customers", ["reconcile_us"])
    op.create_index(op.f("ix_billing_customers_reconciled_us"), "billing_customers", ["reconciled_us"])
    op.create_table(
        "billing_customer_states",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("compared_version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_billing_customer_states")),
    )
    op.create_index(
        "ix_billing_customer_states_uncompared",
        "billing_customer_states",
        ["version"],
        sqlite_where=sa.text("compared_version < version"),
        postgresql_where=sa.text("compared_version < version"),
    )
    op.create_table(
        "billing_members",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("deleted_us", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_members")),
    )
    op.create_index(op.f("ix_billing_members_customer_id"), "billing_members", ["customer_id"])
    op.create_index(op.f("ix_billing_members_external_id"), "billing_members", ["external_id"])
    op.create_table(
        "billing_subscriptions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("app_user_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("recurring_interval", sa.Text(), nullable=True),
        sa.Column("recurring_interval_count", sa.BigInteger(), nullable=True),
        sa.Column("current_period_start_us", sa.BigInteger(), nullable=True),
        sa.Column("current_period_end_us", sa.BigInteger(), nullable=True),
        sa.Column("trial_end_us", sa.BigInteger(), nullable=True),
        sa.Column("cancel_at_period_end", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("canceled_us", sa.BigInteger(), nullable=True),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("ends_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("past_due_us", sa.BigInteger(), nullable=True),
        sa.Column("pause_at_period_end", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("resumes_us", sa.BigInteger(), nullable=True),
        sa.Column("seats", sa.BigInteger(), nullable=True),
        sa.Column("pending_product_id", sa.Text(), nullable=True),
        sa.Column("checkout_id", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_subscriptions")),
    )
    op.create_index(op.f("ix_billing_subscriptions_app_user_id"), "billing_subscriptions", ["app_user_id"])
    op.create_index(op.f("ix_billing_subscriptions_checkout_id"), "billing_subscriptions", ["checkout_id"])
    op.create_index(op.f("ix_billing_subscriptions_customer_id"), "billing_subscriptions", ["customer_id"])
    op.create_table(
        "billing_orders",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("checkout_id", sa.Text(), nullable=True),
        sa.Column("app_user_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("billing_reason", sa.Text(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=True),
        sa.Column("refunded_amount", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_orders")),
    )
    op.create_index(op.f("ix_billing_orders_app_user_id"), "billing_orders", ["app_user_id"])
    op.create_index(op.f("ix_billing_orders_checkout_id"), "billing_orders", ["checkout_id"])
    op.create_index(op.f("ix_billing_orders_customer_id"), "billing_orders", ["customer_id"])
    op.create_table(
        "billing_benefit_grants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=True),
        sa.Column("benefit_id", sa.Text(), nullable=False),
        sa.Column("benefit_type", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("is_granted", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("is_revoked", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("granted_us", sa.BigInteger(), nullable=True),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_benefit_grants")),
    )
    op.create_index(op.f("ix_billing_benefit_grants_customer_id"), "billing_benefit_grants", ["customer_id"])
    op.create_index(op.f("ix_billing_benefit_grants_member_id"), "billing_benefit_grants", ["member_id"])
    op.create_table(
        "billing_checkouts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("product_id", sa.Text(), nullable=True),
        sa.Column("subscription_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("asked_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("version", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("modified_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("webhook_id", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_checkouts")),
    )
    op.create_index(op.f("ix_billing_checkouts_user_id"), "billing_checkouts", ["user_id"])
    op.create_table(
        "billing_access",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("access", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("changes", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("check_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_billing_access")),
    )
    op.create_index(op.f("ix_billing_access_check_us"), "billing_access", ["check_us"])
    op.create_table(
        "billing_reactions",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("reaction", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("next_attempt_us", sa.BigInteger(), nullable=True),
        sa.Column("lease_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("done_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_billing_reactions")),
    )
    op.create_index(
        op.f("ix_billing_reactions_state_next_attempt_us"), "billing_reactions", ["state", "next_attempt_us"]
    )
    op.create_table(
        "billing_rate_limits",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("window_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("count", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_billing_rate_limits")),
    )
    op.create_index(op.f("ix_billing_rate_limits_window_us"), "billing_rate_limits", ["window_us"])


def downgrade() -> None:
    """Drop them, with everything in them."""
    op.drop_table("billing_rate_limits")
    op.drop_table("billing_reactions")
    op.drop_table("billing_access")
    op.drop_table("billing_checkouts")
    op.drop_table("billing_benefit_grants")
    op.drop_table("billing_orders")
    op.drop_table("billing_subscriptions")
    op.drop_table("billing_members")
    op.drop_table("billing_customer_states")
    op.drop_table("billing_customers")
    op.drop_table("billing_webhook_events")

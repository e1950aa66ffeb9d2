"""What keeps billing's promises over time: blocked users, disputes, erased customers, and pauses after a failure."""

import sqlalchemy as sa
from alembic import op

revision = "billing_0003"
down_revision = "billing_0002"
branch_labels = None
depends_on = None

ALREADY_BLOCKED = """
INSERT INTO billing_blocked_users (user_id, blocked_us)
SELECT external_id, MIN(blocked_us) FROM billing_customers
WHERE blocked_us IS NOT NULL AND external_id IS NOT NULL GROUP BY external_id
"""


def upgrade() -> None:
    """Add the table, the columns and the index."""
    op.create_table(
        "billing_blocked_users",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("blocked_us", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_billing_blocked_users")),
    )
    op.execute(ALREADY_BLOCKED)
    op.add_column("billing_orders", sa.Column("dispute_status", sa.Text(), nullable=True))
    for column in ("answered_us", "discount_basis_points"):
        op.add_column("billing_subscriptions", sa.Column(column, sa.BigInteger(), nullable=True))
    op.add_column("billing_customers", sa.Column("erased_us", sa.BigInteger(), nullable=True))
    for table, column in (("billing_customers", "reconcile_failures"), ("billing_access", "check_failures")):
        op.add_column(table, sa.Column(column, sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.create_index(op.f("ix_billing_checkouts_status_created_us"), "billing_checkouts", ["status", "created_us"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index(op.f("ix_billing_checkouts_status_created_us"), "billing_checkouts")
    for table, column in (("billing_customers", "reconcile_failures"), ("billing_access", "check_failures")):
        op.drop_column(table, column)
    op.drop_column("billing_customers", "erased_us")
    for column in ("answered_us", "discount_basis_points"):
        op.drop_column("billing_subscriptions", column)
    op.drop_column("billing_orders", "dispute_status")
    op.drop_table("billing_blocked_users")

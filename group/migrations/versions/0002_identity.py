"""The queue of customers who may be one, and what officers ruled."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _pair() -> list[sa.Column[str]]:
    return [
        sa.Column(f"{side}_{name}", sa.String(length), nullable=False)
        for side in ("left", "right")
        for name, length in (("legal_entity", 32), ("customer_id", 100))
    ]


def upgrade() -> None:
    op.create_table(
        "identity_reviews",
        sa.Column("review_id", sa.Integer, nullable=False),
        *_pair(),
        sa.Column("basis", sa.String(20), nullable=False),
        sa.Column("probability", sa.Float),
        sa.Column("noticed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("review_id", name="pk_identity_reviews"),
    )
    op.create_table(
        "identity_rulings",
        sa.Column("ruling_id", sa.Integer, nullable=False),
        *_pair(),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("ruled_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("ruled_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("ruling_id", name="pk_identity_rulings"),
    )


def downgrade() -> None:
    op.drop_table("identity_rulings")
    op.drop_table("identity_reviews")

"""Scores by party, released pre-credit policies, offers, and what POSTs were answered with."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OF_COMPANIES = ("scores", "precredit_offers")
_SEEN = (
    "current_setting('jinkong.legal_entities', true) = '*' "
    "OR legal_entity = ANY (string_to_array(current_setting('jinkong.legal_entities', true), ','))"
)


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "scores",
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("party_id", sa.String(64), nullable=False),
        sa.Column("decision_id", sa.String(48), nullable=False),
        sa.Column("scored_at", instant, nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("score", sa.Integer),
        sa.Column("grade", sa.String(8)),
        sa.PrimaryKeyConstraint("legal_entity", "party_id", "decision_id", name="pk_scores"),
    )
    op.create_table(
        "precredit_policies",
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("released_at", instant, nullable=False),
        sa.Column("released_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_precredit_policies"),
    )
    op.create_table(
        "precredit_offers",
        sa.Column("offer_id", sa.String(36), nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("party_id", sa.String(64), nullable=False),
        sa.Column("product", sa.String(80), nullable=False),
        sa.Column("credit_limit", sa.Numeric(18, 2), nullable=False),
        sa.Column("rate_per_annum", sa.Float, nullable=False),
        sa.Column("term_months", sa.Integer, nullable=False),
        sa.Column("policy", sa.Integer, nullable=False),
        sa.Column("offered_at", instant, nullable=False),
        sa.Column("valid_until", instant, nullable=False),
        sa.Column("superseded_at", instant),
        sa.Column("accepted_at", instant),
        sa.Column("accepted_by", sa.String(200)),
        sa.Column("accepted_amount", sa.Numeric(18, 2)),
        sa.PrimaryKeyConstraint("offer_id", name="pk_precredit_offers"),
    )
    op.create_index(
        "ix_precredit_offers_legal_entity_party_id_product", "precredit_offers",
        ["legal_entity", "party_id", "product"],
    )  # fmt: skip
    op.create_table(
        "carried_out",
        sa.Column("caller", sa.String(80), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name="pk_carried_out"),
    )
    op.create_index("ix_carried_out_at", "carried_out", ["at"])
    if op.get_bind().dialect.name == "postgresql":
        for table in _OF_COMPANIES:
            op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
            op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
            op.execute(f"CREATE POLICY {table}_own_companies ON {table} USING ({_SEEN}) WITH CHECK ({_SEEN})")


def downgrade() -> None:
    for table in ("carried_out", "precredit_offers", "precredit_policies", "scores"):
        op.drop_table(table)

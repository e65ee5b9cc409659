"""Whitelists with their offers, and who asked not to be contacted."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "whitelists",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.Column("made_at", instant, nullable=False),
        sa.Column("made_by", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("offers", sa.Integer, nullable=False),
        sa.Column("held_out", sa.Integer, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("manifest", sa.Text, nullable=False),
        sa.Column("released_at", instant),
        sa.Column("released_by", sa.String(200)),
        sa.PrimaryKeyConstraint("name", "version", name="pk_whitelists"),
    )
    op.create_table(
        "whitelist_offers",
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("party_id", sa.String(64), nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("product", sa.String(80), nullable=False),
        sa.Column("credit_limit", sa.Numeric(18, 2), nullable=False),
        sa.Column("rate_per_annum", sa.Float, nullable=False),
        sa.Column("term_months", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(80), nullable=False),
        sa.Column("valid_from", sa.Date, nullable=False),
        sa.Column("valid_until", sa.Date, nullable=False),
        sa.Column("held_out", sa.Boolean, nullable=False),
        sa.Column("expected_profit", sa.Float, nullable=False),
        sa.Column("uplift", sa.Float, nullable=False),
        sa.Column("response", sa.Float, nullable=False),
        sa.Column("probability_of_default", sa.Float, nullable=False),
        sa.Column("grade", sa.String(8), nullable=False),
        sa.Column("customer_value", sa.Float, nullable=False),
        sa.Column("reason_zh", sa.String(500), nullable=False),
        sa.Column("reason_en", sa.String(500), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", "legal_entity", "party_id", name="pk_whitelist_offers"),
        sa.ForeignKeyConstraint(
            ["name", "version"], ["whitelists.name", "whitelists.version"], name="fk_whitelist_offers_name_whitelists"
        ),
    )
    op.create_index("ix_whitelist_offers_rank", "whitelist_offers", ["name", "version", "rank"])
    op.create_table(
        "do_not_contact",
        sa.Column("entry_id", sa.Integer, nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("stop", sa.Boolean, nullable=False),
        sa.Column("asked_by", sa.String(200), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_do_not_contact"),
    )


def downgrade() -> None:
    for table in ("do_not_contact", "whitelist_offers", "whitelists"):
        op.drop_table(table)

"""Monitoring: what was measured of each period, what was found, alarms, and the cases that they open.

Figures are of models and of many rows together, never of a party: they are the group's, and have no row policy.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_PERIOD = (
    ("model", sa.String(80)), ("version", sa.String(32)), ("period", sa.String(8)), ("begins", sa.Date),
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "monitor_periods",
        *(sa.Column(name, kind, nullable=False) for name, kind in _PERIOD),
        sa.Column("ends", sa.Date, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("parties", sa.BigInteger, nullable=False),
        sa.Column("judged", sa.Boolean, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sa.Column("reference_sha256", sa.String(64)),
        sa.Column("data_sha256", sa.String(64), nullable=False),
        sa.Column("thresholds_sha256", sa.String(64), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "period", "begins", name="pk_monitor_periods"),
    )
    op.create_table(
        "monitor_columns",
        *(sa.Column(name, kind, nullable=False) for name, kind in _PERIOD),
        sa.Column("segment", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("parties", sa.BigInteger, nullable=False),
        sa.Column("stability_index", sa.Float, nullable=False),
        sa.Column("excess", sa.Float, nullable=False),
        sa.Column("jensen_shannon", sa.Float, nullable=False),
        sa.Column("p_value", sa.Float, nullable=False),
        sa.Column("wasserstein", sa.Float),
        sa.Column("ks", sa.Float),
        sa.Column("ks_p_value", sa.Float),
        sa.Column("mean", sa.Float),
        sa.Column("method", sa.String(16)),
        sa.Column("distance", sa.Float),
        sa.Column("beyond", sa.Boolean),
        sa.Column("missing_share", sa.Float, nullable=False),
        sa.Column("outside_share", sa.Float, nullable=False),
        sa.Column("unseen_share", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint(
            "model", "version", "period", "begins", "segment", "subject", name="pk_monitor_columns"
        ),
    )
    op.create_table(
        "monitor_figures",
        *(sa.Column(name, kind, nullable=False) for name, kind in _PERIOD),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("of", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Float, nullable=False),
        sa.Column("low", sa.Float),
        sa.Column("high", sa.Float),
        sa.PrimaryKeyConstraint("model", "version", "period", "begins", "name", "of", name="pk_monitor_figures"),
    )
    op.create_table(
        "monitor_alarms",
        *(sa.Column(name, kind, nullable=False) for name, kind in _PERIOD),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("last", sa.Date, nullable=False),
        sa.Column("ended", sa.Date),
        sa.Column("level", sa.String(8), nullable=False),
        sa.Column("suggestion", sa.String(16), nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("case_id", sa.String(36)),
        sa.PrimaryKeyConstraint("model", "version", "period", "begins", "kind", name="pk_monitor_alarms"),
    )
    op.create_table(
        "monitor_cases",
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("retrained_version", sa.String(32)),
        sa.PrimaryKeyConstraint("case_id", name="pk_monitor_cases"),
    )
    op.create_index("ix_monitor_cases_model", "monitor_cases", ["model", "state"])
    op.create_table(
        "monitor_messages",
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("case_id", sa.String(36), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("message_id", name="pk_monitor_messages"),
    )


def downgrade() -> None:
    for table in ("messages", "cases", "alarms", "figures", "columns", "periods"):
        op.drop_table(f"monitor_{table}")

"""A score's record is written to as few pages as can be: each page is four kilobytes that a commit waits for.

Decision ids begin with their time. Indexed before the company, all companies' newest stand side by side on one page.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_audit_log_legal_entity_subject", "audit_log")
    op.create_index("ix_audit_log_subject_legal_entity", "audit_log", ["subject", "legal_entity"])
    _lay_out_scores(with_rowid=False)


def downgrade() -> None:
    _lay_out_scores(with_rowid=True)
    op.drop_index("ix_audit_log_subject_legal_entity", "audit_log")
    op.create_index("ix_audit_log_legal_entity_subject", "audit_log", ["legal_entity", "subject"])


def _lay_out_scores(*, with_rowid: bool) -> None:
    """SQLite alone keeps a table apart from its key unless told otherwise."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.rename_table("scores", "scores_before")
    op.create_table(
        "scores",
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("party_id", sa.String(64), nullable=False),
        sa.Column("decision_id", sa.String(48), nullable=False),
        sa.Column("scored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("score", sa.Integer),
        sa.Column("grade", sa.String(8)),
        sa.PrimaryKeyConstraint("legal_entity", "party_id", "decision_id", name="pk_scores"),
        sqlite_with_rowid=with_rowid,
    )
    op.execute("INSERT INTO scores SELECT * FROM scores_before")
    op.drop_table("scores_before")

"""Jobs that score a file or all parties of a company."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_SEEN = (
    "current_setting('jinkong.legal_entities', true) = '*' "
    "OR legal_entity = ANY (string_to_array(current_setting('jinkong.legal_entities', true), ','))"
)


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "score_jobs",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("caller", sa.String(80), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("sent_as", sa.String(80)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("rows", sa.BigInteger),
        sa.Column("rows_done", sa.BigInteger, nullable=False),
        sa.Column("rows_failed", sa.BigInteger, nullable=False),
        sa.Column("version", sa.String(32)),
        sa.Column("error", sa.Text),
        sa.Column("result_sha256", sa.String(64)),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("ended_at", instant),
        sa.PrimaryKeyConstraint("job_id", name="pk_score_jobs"),
    )
    op.create_index("ix_score_jobs_legal_entity_job_id", "score_jobs", ["legal_entity", "job_id"])
    op.create_index("ix_score_jobs_state", "score_jobs", ["state"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE score_jobs ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE score_jobs FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY score_jobs_own_companies ON score_jobs USING ({_SEEN}) WITH CHECK ({_SEEN})")


def downgrade() -> None:
    op.drop_table("score_jobs")

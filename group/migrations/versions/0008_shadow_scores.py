"""What challengers would have answered."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


_SEEN = (
    "current_setting('jinkong.legal_entities', true) = '*' "
    "OR legal_entity = ANY (string_to_array(current_setting('jinkong.legal_entities', true), ','))"
)


def upgrade() -> None:
    op.create_table(
        "shadow_scores",
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("decision_id", sa.String(48), nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("answered_by", sa.String(32), nullable=False),
        sa.Column("answered", sa.Float, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("answered_grade", sa.String(8)),
        sa.Column("grade", sa.String(8)),
        sa.PrimaryKeyConstraint("model", "version", "decision_id", name="pk_shadow_scores"),
    )
    op.create_table(
        "shadow_progress",
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("model", "version", "legal_entity", name="pk_shadow_progress"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE shadow_scores ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE shadow_scores FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY shadow_scores_own_companies ON shadow_scores USING ({_SEEN}) WITH CHECK ({_SEEN})")


def downgrade() -> None:
    op.drop_table("shadow_progress")
    op.drop_table("shadow_scores")

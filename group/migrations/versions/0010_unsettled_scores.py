"""Parts of batches whose scores are not yet kept by party: written with a batch, sorted in later by the many."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_SEEN = (
    "current_setting('jinkong.legal_entities', true) = '*' "
    "OR legal_entity = ANY (string_to_array(current_setting('jinkong.legal_entities', true), ','))"
)


def upgrade() -> None:
    op.create_table(
        "unsettled_scores",
        sa.Column("record", sa.String(36), nullable=False),
        sa.Column("legal_entity", sa.String(32), nullable=False),
        sa.Column("parties", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("record", name="pk_unsettled_scores"),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE unsettled_scores ENABLE ROW LEVEL SECURITY")
        op.execute("ALTER TABLE unsettled_scores FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY unsettled_scores_own_companies ON unsettled_scores USING ({_SEEN}) WITH CHECK ({_SEEN})"
        )


def downgrade() -> None:
    op.drop_table("unsettled_scores")

"""On PostgreSQL, rows of a company are seen by those alone who act for it, whatever a query forgets."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TABLES = ("audit_log", "whitelist_offers", "do_not_contact")
_SEEN = (
    "current_setting('jinkong.legal_entities', true) = '*' "
    "OR legal_entity = ANY (string_to_array(current_setting('jinkong.legal_entities', true), ','))"
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        # The owner is held to it too: the application is the owner.
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY {table}_own_companies ON {table} USING ({_SEEN}) WITH CHECK ({_SEEN})")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    for table in _TABLES:
        op.execute(f"DROP POLICY {table}_own_companies ON {table}")
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

"""How a catalogue was understood, and the kind of its workbook."""

import sqlalchemy as sa
from alembic import op

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade():
    """Apply."""
    op.add_column('requests', sa.Column('table_options', sa.JSON(), nullable=False, server_default='{}'))
    op.add_column('requests', sa.Column('workbook', sa.String(8)))


def downgrade():
    """Take back."""
    op.drop_column('requests', 'workbook')
    op.drop_column('requests', 'table_options')

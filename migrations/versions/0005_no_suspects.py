"""images without suspect, which nothing reads."""

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade():
    """Apply."""
    op.drop_column('images', 'suspect')


def downgrade():
    """Take back."""
    op.add_column('images', sa.Column('suspect', sa.Boolean(), nullable=False, server_default=sa.false()))

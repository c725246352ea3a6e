"""Who sends a delivery, and how often the file of an image was lost."""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade():
    """Apply."""
    op.add_column('webhook_deliveries', sa.Column('sending_until', sa.DateTime()))
    op.add_column('images', sa.Column('lost', sa.Integer(), nullable=False, server_default='0'))


def downgrade():
    """Take back."""
    op.drop_column('images', 'lost')
    op.drop_column('webhook_deliveries', 'sending_until')

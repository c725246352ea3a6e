"""host of deliveries."""

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade():
    """Apply. Deliveries that are there already count as one host per URL."""
    with op.batch_alter_table('webhook_deliveries', schema=None) as batch_op:
        batch_op.add_column(sa.Column('host', sa.Text(), nullable=False, server_default=''))
        batch_op.drop_index(batch_op.f('ix_webhook_deliveries_state_due_at'))
        batch_op.create_index(batch_op.f('ix_webhook_deliveries_state_due_at_host'), ['state', 'due_at', 'host'])
    op.execute('UPDATE webhook_deliveries SET host = url')


def downgrade():
    """Take back."""
    with op.batch_alter_table('webhook_deliveries', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_webhook_deliveries_state_due_at_host'))
        batch_op.create_index(batch_op.f('ix_webhook_deliveries_state_due_at'), ['state', 'due_at'])
        batch_op.drop_column('host')

"""The precision of the model that answered; all corrections before are of float32."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column. Its default serves replicas of an older version, which do not know it."""
    op.add_column("corrections", sa.Column("model_precision", sa.String(8), nullable=False, server_default="float32"))


def downgrade() -> None:
    """Drop the column; the corrections stay."""
    op.drop_column("corrections", "model_precision")

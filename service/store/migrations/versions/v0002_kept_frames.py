"""The table of kept frames, by which the quota of their folder is counted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "kept_frames",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("frame", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drop the table; the corrections stay."""
    op.drop_table("kept_frames")

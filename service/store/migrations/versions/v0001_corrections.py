"""The table of corrections."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "corrections",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("model_name", sa.String(128), nullable=False),
        sa.Column("model_version", sa.String(128), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("answer_plane", sa.String(128), nullable=False),
        sa.Column("answer_sub_plane", sa.String(128)),
        sa.Column("answer_abstain_reason", sa.String(32)),
        sa.Column("answer_probability", sa.Float),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("plane", sa.String(128)),
        sa.Column("sub_plane", sa.String(128)),
        sa.Column("study", sa.String(64)),
        sa.Column("patient", sa.String(64)),
        sa.Column("machine", sa.String(128)),
        sa.Column("protocol", sa.String(128)),
        sa.Column("who", sa.String(64)),
        sqlite_autoincrement=True,
    )
    op.create_index("corrections_frame", "corrections", ["digest", "frame", "id"])
    op.create_index("corrections_study", "corrections", ["study"])
    op.create_index("corrections_patient", "corrections", ["patient"])
    op.create_index("corrections_at", "corrections", ["at"])


def downgrade() -> None:
    """Drop the table with everything in it."""
    op.drop_table("corrections")

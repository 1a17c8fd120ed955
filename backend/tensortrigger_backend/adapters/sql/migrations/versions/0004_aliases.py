"""Aliases and their history, what publishers tell of versions, content-addressed bytes, resumable uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ADDED = (
    ("tags", sa.JSON()),
    ("metrics", sa.JSON()),
    ("author", sa.String(length=256)),
    ("notebook", sa.String(length=256)),
    ("git_commit", sa.String(length=256)),
    ("wanted_alias", sa.String(length=63)),
    ("wanted_by", sa.Text()),
    ("receipt", sa.JSON()),
    ("example_key", sa.Text()),
)
KEYS = (("source", "source_key"), ("servable", "servable_key"), ("example", "example_key"))


def upgrade() -> None:
    with op.batch_alter_table("model_versions") as table:
        for name, kind in ADDED:
            table.add_column(sa.Column(name, kind, nullable=True))
    for name, column in KEYS:
        op.create_index(f"ix_model_versions_{name}", "model_versions", [column], unique=False)
    op.create_table(
        "aliases",
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.Column("model_id", sa.String(length=32), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("moved", sa.Float(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner", "name", "alias"),
    )
    op.create_index("ix_aliases_model", "aliases", ["model_id"], unique=False)
    op.create_table(
        "alias_history",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.Column("model_id", sa.String(length=32), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("previous_version", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("moved", sa.Float(), nullable=False),
        sa.Column("moved_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_alias_history_alias", "alias_history", ["owner", "name", "alias", "number"], unique=False
    )
    op.create_table(
        "contents",
        sa.Column("key", sa.String(length=96), nullable=False),
        sa.Column("touched", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "uploads",
        sa.Column("upload_id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.Column("touched", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id"),
    )
    op.create_index("ix_uploads_touched", "uploads", ["touched"], unique=False)


def downgrade() -> None:
    for made in ("uploads", "contents", "alias_history", "aliases"):
        op.drop_table(made)
    for name, _ in KEYS:
        op.drop_index(f"ix_model_versions_{name}", table_name="model_versions")
    with op.batch_alter_table("model_versions") as table:
        for name, _ in reversed(ADDED):
            table.drop_column(name)

"""Jobs that train, the model that a job is about, and the parents of versions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("kind", sa.String(length=16), nullable=False, server_default="score"))
        table.add_column(sa.Column("model_name", sa.String(length=63), nullable=True))
        table.add_column(sa.Column("model_version", sa.Integer(), nullable=True))
        table.add_column(sa.Column("training", sa.JSON(), nullable=True))
        table.add_column(sa.Column("trained", sa.JSON(), nullable=True))
    with op.batch_alter_table("model_versions") as table:
        table.add_column(sa.Column("parent", sa.JSON(), nullable=True))
    jobs = sa.table("jobs", sa.column("model_id"), sa.column("model_name"), sa.column("model_version"))
    versions = sa.table("model_versions", sa.column("model_id"), sa.column("name"), sa.column("version"))
    of_job = versions.c.model_id == jobs.c.model_id
    op.execute(
        jobs.update().values(
            model_name=sa.select(versions.c.name).where(of_job).scalar_subquery(),
            model_version=sa.select(versions.c.version).where(of_job).scalar_subquery(),
        )
    )


def downgrade() -> None:
    with op.batch_alter_table("model_versions") as table:
        table.drop_column("parent")
    with op.batch_alter_table("jobs") as table:
        for name in ("trained", "training", "model_version", "model_name", "kind"):
            table.drop_column(name)

"""Priorities, options and sums of jobs, their logs and webhooks, and the processes of a deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COUNTS = (
    "partitions_total",
    "partitions_queued",
    "partitions_claimed",
    "partitions_done",
    "partitions_failed",
    "claims",
    "log_lines",
)


STATES = ("queued", "claimed", "done", "failed")
jobs = sa.table("jobs", *(sa.column(name) for name in ("job_id", *COUNTS, "rows_done", "rows_rejected")))
partitions = sa.table(
    "partitions", *(sa.column(name) for name in ("job_id", "state", "rows", "rows_rejected", "claims"))
)


def upgrade() -> None:
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("priority", sa.Integer(), nullable=False, server_default="5"))
        table.add_column(sa.Column("options", sa.JSON(none_as_null=True), nullable=True))
        for name in COUNTS:
            table.add_column(sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
        for name in ("rows_done", "rows_rejected"):
            table.add_column(sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("served", sa.Float(), nullable=True))
        table.add_column(sa.Column("pace", sa.JSON(none_as_null=True), nullable=True))
        table.add_column(sa.Column("tidied", sa.Float(), nullable=True))
        table.create_index("ix_jobs_served", ["owner", "kind", "served"])
        table.create_index("ix_jobs_finished", ["finished"])
    with op.batch_alter_table("partitions") as table:
        table.add_column(sa.Column("rows_done", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("results_size", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("results_sha256", sa.String(length=64), nullable=True))
        table.create_index("ix_partitions_next", ["job_id", "state", "number"])
    _sum_up()
    op.create_table(
        "job_log",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=True),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("level", sa.String(length=8), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
        sa.PrimaryKeyConstraint("number"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_job_log_job", "job_log", ["job_id", "number"])
    op.create_table(
        "webhooks",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", sa.Float(), nullable=True),
        sa.Column("delivered", sa.Float(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job_id"),
    )
    op.create_index("ix_webhooks_due", "webhooks", ["due"])
    op.create_table(
        "processes",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("started", sa.Float(), nullable=False),
        sa.Column("seen", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "deployment",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _sum_up() -> None:
    """The sums that jobs keep of their partitions from now on."""
    of_job = partitions.c.job_id == jobs.c.job_id
    done = sa.and_(of_job, partitions.c.state == "done")
    sums = {
        "partitions_total": sa.select(sa.func.count()).where(of_job),
        "rows_done": sa.select(sa.func.coalesce(sa.func.sum(partitions.c.rows), 0)).where(done),
        "rows_rejected": sa.select(sa.func.coalesce(sa.func.sum(partitions.c.rows_rejected), 0)).where(done),
        "claims": sa.select(sa.func.coalesce(sa.func.sum(partitions.c.claims), 0)).where(of_job),
    }
    for state in STATES:
        sums[f"partitions_{state}"] = sa.select(sa.func.count()).where(of_job, partitions.c.state == state)
    op.execute(
        jobs.update().values(
            {name: query.select_from(partitions).scalar_subquery() for name, query in sums.items()}
        )
    )


def downgrade() -> None:
    for name in ("deployment", "processes", "webhooks", "job_log"):
        op.drop_table(name)
    with op.batch_alter_table("partitions") as table:
        table.drop_index("ix_partitions_next")
        for name in ("results_sha256", "results_size", "rows_done"):
            table.drop_column(name)
    with op.batch_alter_table("jobs") as table:
        table.drop_index("ix_jobs_finished")
        table.drop_index("ix_jobs_served")
        for name in ("tidied", "pace", "served", "rows_rejected", "rows_done", *reversed(COUNTS)):
            table.drop_column(name)
        table.drop_column("options")
        table.drop_column("priority")

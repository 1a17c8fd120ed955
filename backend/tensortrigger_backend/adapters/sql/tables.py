"""The tables as SQLAlchemy sees them; migrations/versions holds how they came to be."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()


class Told(TypeDecorator[str]):
    """What people are told of a failure, whose cause may quote anything: a NUL, which PostgreSQL holds in no text, or
    half of a surrogate pair is replaced, for a failure that cannot be written would be tried again for ever."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """As it is written."""
        if value is None:
            return None
        return value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


model_names = Table(
    "model_names",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("latest", Integer, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("model_id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    Column("version", Integer),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("model_schema", JSON),
    Column("signature", JSON),
    Column("engine", String(32)),
    Column("source_key", Text, nullable=False),
    Column("source_sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("servable_key", Text),
    Column("servable_sha256", String(64)),
    Column("report", JSON, nullable=False),
    Column("holder", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("removed", Float),
    Column("parent", JSON(none_as_null=True)),
    # What its publisher tells of it; null in rows that are older than these columns.
    Column("tags", JSON(none_as_null=True)),
    Column("metrics", JSON(none_as_null=True)),
    Column("author", String(256)),
    Column("notebook", String(256)),
    Column("git_commit", String(256)),
    # The alias that is to point here as soon as it is ready.
    Column("wanted_alias", String(63)),
    Column("wanted_by", Text),
    Column("receipt", JSON(none_as_null=True)),
    Column("example_key", Text),
    UniqueConstraint("owner", "name", "version", name="uq_model_versions_number"),
    Index("ix_model_versions_owner", "owner", "created", "model_id"),
    Index("ix_model_versions_state", "state"),
    # Whether stored bytes are still needed is asked by their key.
    Index("ix_model_versions_source", "source_key"),
    Index("ix_model_versions_servable", "servable_key"),
    Index("ix_model_versions_example", "example_key"),
)

aliases = Table(
    "aliases",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("alias", String(63), primary_key=True),
    Column("model_id", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("moved", Float, nullable=False),
    Column("moved_by", Text, nullable=False),
    Index("ix_aliases_model", "model_id"),
)

alias_history = Table(
    "alias_history",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    Column("alias", String(63), nullable=False),
    Column("model_id", String(32)),
    Column("version", Integer),
    Column("previous_version", Integer),
    Column("action", String(16), nullable=False),
    Column("moved", Float, nullable=False),
    Column("moved_by", Text, nullable=False),
    Index("ix_alias_history_alias", "owner", "name", "alias", "number"),
    sqlite_autoincrement=True,
)

contents = Table(
    "contents",
    metadata,
    Column("key", String(96), primary_key=True),
    # Somebody is about to need these bytes: until a grace time after this they stay, needed or not.
    Column("touched", Float, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("upload_id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("size", BigInteger),
    Column("sha256", String(64)),
    Column("offset", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("touched", Float, nullable=False),
    # Only the ticket that began an upload may go on with it; the version is what was made of it at last.
    Column("ticket_id", String(12)),
    Column("model_id", String(32)),
    Index("ix_uploads_touched", "touched"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("upload_id", String(32), primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("key", Text, nullable=False),
    ForeignKeyConstraint(["upload_id"], ["uploads.upload_id"]),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("model_id", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("upload_key", Text, nullable=False),
    Column("upload_size", BigInteger, nullable=False),
    Column("columns", JSON, nullable=False),
    Column("output_columns", JSON, nullable=False),
    Column("named_outputs", Boolean, nullable=False),
    Column("rows_total", BigInteger, nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("last_updated", Float, nullable=False),
    Column("error", Told),
    Column("kind", String(16), nullable=False, server_default="score"),
    Column("model_name", String(63)),
    Column("model_version", Integer),
    # What a training was asked to do, and how far it has come.
    Column("training", JSON(none_as_null=True)),
    Column("trained", JSON(none_as_null=True)),
    Column("priority", Integer, nullable=False, server_default="5"),
    # What whoever ordered a scoring job chose; null in rows that are older than this column.
    Column("options", JSON(none_as_null=True)),
    # Sums over its partitions, kept with each of their steps: whoever looks four times a second reads one row.
    Column("partitions_total", Integer, nullable=False, server_default="0"),
    Column("partitions_queued", Integer, nullable=False, server_default="0"),
    Column("partitions_claimed", Integer, nullable=False, server_default="0"),
    Column("partitions_done", Integer, nullable=False, server_default="0"),
    Column("partitions_failed", Integer, nullable=False, server_default="0"),
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    Column("rows_rejected", BigInteger, nullable=False, server_default="0"),
    Column("claims", Integer, nullable=False, server_default="0"),
    Column("log_lines", Integer, nullable=False, server_default="0"),
    # When a partition of it was last claimed, how fast the latest ones were, when what died attempts left was removed.
    Column("served", Float),
    Column("pace", JSON(none_as_null=True)),
    Column("tidied", Float),
    Index("ix_jobs_owner", "owner", "created", "job_id"),
    Index("ix_jobs_state", "state"),
    Index("ix_jobs_served", "owner", "kind", "served"),
    Index("ix_jobs_finished", "finished"),
)

partitions = Table(
    "partitions",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("first_row", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("first_line", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claims", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),
    Column("worker", String(64)),
    # Until when a claim holds; of a queued partition: before when it is not to be tried again.
    Column("lease_until", Float),
    Column("told", Float, nullable=False),
    Column("claimed", Float),
    Column("committed", Float),
    Column("results_key", Text),
    Column("results_size", BigInteger),
    Column("results_sha256", String(64)),
    Column("rejects_key", Text),
    Column("rows_scored", BigInteger, nullable=False),
    Column("rows_rejected", BigInteger, nullable=False),
    Column("non_finite", BigInteger, nullable=False),
    # Rows scored by the attempt in work, told with each renewal of its lease.
    Column("rows_done", BigInteger, nullable=False, server_default="0"),
    Column("error", Told),
    ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
    Index("ix_partitions_state", "state", "lease_until"),
    Index("ix_partitions_next", "job_id", "state", "number"),
)

job_log = Table(
    "job_log",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("job_id", String(32), nullable=False),
    Column("partition", Integer),
    Column("at", Float, nullable=False),
    Column("level", String(8), nullable=False),
    Column("message", Told, nullable=False),
    ForeignKeyConstraint(["job_id"], ["jobs.job_id"]),
    Index("ix_job_log_job", "job_id", "number"),
    sqlite_autoincrement=True,
)

webhooks = Table(
    "webhooks",
    metadata,
    # One a job: what is told is how the job ended, and a job that is tried again is told of again.
    Column("job_id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("message_id", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    # When it is tried next; null once it is settled.
    Column("due", Float),
    Column("delivered", Float),
    Column("error", Told),
    Index("ix_webhooks_due", "due"),
)

processes = Table(
    "processes",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("started", Float, nullable=False),
    Column("seen", Float, nullable=False),
)

deployment = Table(
    "deployment",
    metadata,
    # What all processes on one database must have in common, by name.
    Column("name", String(32), primary_key=True),
    Column("value", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("owner", String(64), nullable=False),
    Column("job_id", String(32), nullable=False),
    Column("partition", Integer, nullable=False),
    # A number that was deleted must not come again: a relay may be about to say that it was sent.
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("model", String(63)),
    Column("model_id", String(32)),
    Column("job_id", String(32)),
    Column("source", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("error", Text),
    Column("epochs", BigInteger),
    Column("steps_per_epoch", BigInteger),
    Column("params", JSON, nullable=False),
    Column("epoch", BigInteger),
    Column("step", BigInteger),
    Column("metrics", JSON, nullable=False),
    Column("of_epoch", Boolean, nullable=False),
    Column("metric_names", JSON, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("received", JSON, nullable=False),
    Column("created", Float, nullable=False),
    Column("last_updated", Float, nullable=False),
    Column("finished", Float),
    Index("ix_runs_owner", "owner", "created", "run_id"),
    Index("ix_runs_state", "source", "state"),
)

run_points = Table(
    "run_points",
    metadata,
    Column("run_id", String(32), primary_key=True),
    # Readers ask for what comes after a number: the chunk's last one is the key that they search by.
    Column("last_seq", BigInteger, primary_key=True),
    Column("first_seq", BigInteger, nullable=False),
    Column("epochs", Integer, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("resource_id", String(32), nullable=False),
    Column("created", Float, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(12), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("label", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", String(12), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("key_id", String(12), nullable=False),
    Column("model_name", String(63), nullable=False),
    Column("secret_hash", LargeBinary(32), nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float, nullable=False),
    Column("used", Boolean, nullable=False),
)

"""PostgreSQL, RabbitMQ and an S3 server as child processes, for tests and for development."""

"""Models, jobs, keys and tickets in a SQL database."""

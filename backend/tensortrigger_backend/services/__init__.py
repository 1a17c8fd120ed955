"""Use cases: what the backend does, on ports alone."""

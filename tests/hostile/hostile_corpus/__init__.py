"""Hostile model files, built here and never stored; a module a trick, and what each would do where nothing protects."""

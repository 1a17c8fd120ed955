"""Live metrics of a training in this process: the Keras callback, and what it streams through."""

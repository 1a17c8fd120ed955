"""Old HDF5 files: their configs in the words of Keras 3, and their weights where these belong."""

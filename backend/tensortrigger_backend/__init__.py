"""The TensorTrigger Lab backend: publish Keras models, serve them over REST, score CSV files."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tensortrigger-lab")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"

"""Asks a SavedModel as TensorFlow Serving would: ``python load_saved_model.py FOLDER INPUTS.npz OUT.npz``."""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
serve = loaded.signatures["serving_default"]
with np.load(sys.argv[2]) as given:
    outputs = serve(**{name: tf.constant(given[name]) for name in given.files})
_, wanted = serve.structured_input_signature
shapes = {
    f"shape:{spec.name}": np.array([-1 if n is None else n for n in spec.shape]) for spec in wanted.values()
}
np.savez(Path(sys.argv[3]), **{name: value.numpy() for name, value in outputs.items()}, **shapes)

"""What may a class that is not Keras' own be, and what stands for it among the built-in ones?"""

from __future__ import annotations

import difflib
from typing import Any

from tensortrigger_backend.forge.keras import allow_list

_REBUILD = "rebuild that part from built-in layers or keras.ops, copy its weights and save it as .keras"
_PACKAGES = {
    "keras_cv": "KerasCV's layers are code of their own",
    "keras_hub": "KerasHub's layers are code of their own",
    "keras_nlp": "KerasNLP's layers are code of their own",
    "keras_rs": "Keras RS' layers are code of their own",
    "tensorflow_addons": "TensorFlow Addons' layers are code of their own and no longer kept up",
    "tensorflow_hub": "a hub.KerasLayer loads another program",
    "tensorflow_probability": "TensorFlow Probability's layers are code of their own",
    "tensorflow_model_optimization": "take the wrappers off with strip_pruning first; quantization layers are code",
    "transformers": "the layers of transformers are code of their own",
}
_PREFIXES = {
    "Addons": "tensorflow_addons",
    "keras_cv": "keras_cv",
    "keras_hub": "keras_hub",
    "keras_nlp": "keras_nlp",
}
_INSTEAD = {
    "AttentionLayer": "MultiHeadAttention, Attention or AdditiveAttention",
    "AttentionWithContext": "Dense, Softmax and Dot",
    "AttentionWeightedAverage": "Dense, Softmax and Dot",
    "CRF": "a Dense layer with softmax, and decode its answers in the client",
    "CustomAttention": "MultiHeadAttention, Attention or AdditiveAttention",
    "FixedDropout": "Dropout",
    "GELU": "Activation('gelu')",
    "GroupNorm": "GroupNormalization",
    "InstanceNormalization": "GroupNormalization(groups=-1)",
    "KerasLayer": "the layers that the module was made of",
    "LayerNorm": "LayerNormalization",
    "Mish": "Activation('mish')",
    "MultiHeadSelfAttention": "MultiHeadAttention",
    "PatchEncoder": "Embedding and Add",
    "PositionEmbedding": "Embedding of the positions and Add",
    "PositionalEncoding": "Embedding of the positions and Add",
    "PositionalEmbedding": "Embedding of the positions and Add",
    "SeqSelfAttention": "Attention or MultiHeadAttention",
    "SeqWeightedAttention": "Dense, Softmax and Dot",
    "SpectralNorm": "SpectralNormalization",
    "Swish": "Activation('swish')",
    "TokenAndPositionEmbedding": "two Embeddings and Add",
    "TransformerBlock": "MultiHeadAttention, LayerNormalization, Dense and Add in a functional model",
    "TransformerEncoder": "MultiHeadAttention, LayerNormalization, Dense and Add in a functional model",
    "WeightNormalization": "the layer inside it, with its normalized kernel as plain weights",
}


_OF_APPLICATIONS = ("LayerScale", "StochasticDepth", "CustomScaleLayer")
"""What keras.applications has for itself: a ``.keras`` file says so, and an HDF5 file cannot."""


def stranger(name: str, module: Any, registered: Any) -> str | None:
    """The remedy for a class that many people's models hold, or that is nearly named like a built-in one."""
    plain = name.rsplit(">", 1)[-1]
    package = str(module).split(".", 1)[0]
    for words in (name, str(registered)):
        package = _PREFIXES.get(words.split(">", 1)[0], package)
    if plain in _OF_APPLICATIONS:
        return f"if it is that of keras.applications, save the model as .keras; else {_REBUILD}"
    about = f"{_PACKAGES[package]}; " if package in _PACKAGES else ""
    if plain in _INSTEAD:
        return f"{about}use {_INSTEAD[plain]} in its place, copy its weights and save it as .keras"
    if about:
        return about + _REBUILD
    near = difflib.get_close_matches(plain[:60], allow_list.LAYERS, n=1, cutoff=0.85)
    return f"if it is Keras' {near[0]}, use that one; else {_REBUILD}" if near else None

"""Which classes of Keras 1 and 2 does the doctor answer for, and what became of them?"""

from __future__ import annotations

import re

RENAMED = {
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3D": "Conv3D",
    "Convolution3DTranspose": "Conv3DTranspose",
    "CuDNNGRU": "GRU",
    "CuDNNLSTM": "LSTM",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "GRUV2": "GRU",
    "LSTMV2": "LSTM",
    "RandomHeight": "Identity",
    "RandomWidth": "Identity",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    "SyncBatchNormalization": "BatchNormalization",
    "ThresholdedReLU": "ReLU",
    "UnifiedGRU": "GRU",
    "UnifiedLSTM": "LSTM",
}
"""A layer's class in an old file to the one that does the same in Keras 3."""

GONE = {
    "AbstractRNNCell": "a class to build recurrent cells on",
    "DenseFeatures": "made from feature columns, which are code; give the model its numbers directly",
    "Highway": "a layer of Keras 1; rebuild it from Dense, Multiply and Add",
    "LocallyConnected1D": "gone from Keras 3; rebuild it from slices and EinsumDense",
    "LocallyConnected2D": "gone from Keras 3; rebuild it from slices and EinsumDense",
    "MaxoutDense": "a layer of Keras 1; rebuild it from Dense and Maximum",
    "ParametricSoftplus": "a layer of Keras 1; use Softplus or PReLU",
    "RandomFourierFeatures": "gone from Keras 3; rebuild it from Dense and a cosine",
    "SReLU": "a layer of Keras 1; use PReLU",
    "SequenceFeatures": "made from feature columns, which are code; give the model its numbers directly",
}
"""Layers that Keras 3 has no counterpart of, and what to do."""

KNOWN = frozenset(RENAMED) | frozenset(GONE) | {"Merge", "TimeDistributedDense"}
"""Names of old layers that the doctor answers for."""

OP_LAYERS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
"""Layers that tf.keras made of calls of TensorFlow's functions."""

OLD_CLASSES = KNOWN | frozenset(OP_LAYERS)
"""Classes that are in no allow-list, but that the doctor rewrites or refuses by itself."""

KERAS_MODULES = re.compile(
    r"(keras|tf_keras|tensorflow\.python\.keras|tensorflow\.keras)"
    r"((\.src)?\.(activations|constraints|engine|initializers|layers|losses|metrics|mixed_precision|models"
    r"|optimizers|regularizers)(\.\w+)*)?\Z"
)
"""Modules under which Keras 2 named its own classes."""

"""Which names may a model's config hold? Only those written out here, each built into Keras and known to run no code.

Not listed on purpose: Lambda, TFSMLayer, TorchModuleWrapper, JaxLayer and FlaxLayer, which hold programs; ops that
take a function (map, scan, while_loop, ...); and everything of a user's own.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODELS = _names("Functional Model Sequential")

LAYERS = _names("""
    Activation ActivityRegularization AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D
    AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D Add AdditiveAttention AlphaDropout Attention AugMix
    AutoContrast Average AveragePooling1D AveragePooling2D AveragePooling3D AvgPool1D AvgPool2D AvgPool3D
    BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate
    ContrastLimitedAdaptiveHistogramEqualization Conv1D Conv1DTranspose Conv2D Conv2DTranspose Conv3D Conv3DTranspose
    ConvLSTM1D ConvLSTM2D ConvLSTM3D Convolution1D Convolution1DTranspose Convolution2D Convolution2DTranspose
    Convolution3D Convolution3DTranspose Cropping1D Cropping2D Cropping3D CutMix Dense DepthwiseConv1D DepthwiseConv2D
    Discretization Dot Dropout ELU EinsumDense Embedding Equalization Flatten GRU GRUCell GaussianDropout GaussianNoise
    GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D GlobalAvgPool1D GlobalAvgPool2D
    GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D GlobalMaxPool3D GlobalMaxPooling1D GlobalMaxPooling2D
    GlobalMaxPooling3D GroupNormalization GroupQueryAttention GroupedQueryAttention
    HashedCrossing Hashing Identity InputLayer IntegerLookup
    LSTM LSTMCell LayerNormalization LeakyReLU Masking MaxNumBoundingBoxes MaxPool1D MaxPool2D MaxPool3D MaxPooling1D
    MaxPooling2D MaxPooling3D Maximum MelSpectrogram Minimum MixUp MultiHeadAttention Multiply Normalization PReLU
    Permute Pipeline RMSNormalization RNN RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
    RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale
    RandomHue RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding
    STFTSpectrogram SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D SimpleRNN
    SimpleRNNCell Softmax Solarization SpatialDropout1D SpatialDropout2D SpatialDropout3D SpectralNormalization
    StackedRNNCells StringLookup Subtract TextVectorization ThresholdedReLU TimeDistributed UnitNormalization
    UpSampling1D UpSampling2D UpSampling3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
""")

INITIALIZERS = _names("""
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform STFT STFTInitializer TruncatedNormal VarianceScaling
    Zeros constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform ones
    orthogonal random_normal random_uniform stft truncated_normal variance_scaling zeros
""")

REGULARIZERS = _names("L1 L1L2 L2 OrthogonalRegularizer l1 l1_l2 l2 orthogonal_regularizer")

CONSTRAINTS = _names("MaxNorm MinMaxNorm NonNeg UnitNorm max_norm min_max_norm non_neg unit_norm")

DTYPE_POLICIES = _names("""
    AWQDTypePolicy DTypePolicy DTypePolicyMap FloatDTypePolicy GPTQDTypePolicy Int4DTypePolicy Policy
    QuantizedDTypePolicy QuantizedFloat8DTypePolicy
""")

QUANTIZERS = _names("""
    AWQConfig AbsMaxQuantizer Float8QuantizationConfig GPTQConfig Int4QuantizationConfig Int8QuantizationConfig
""")

LOSSES = _names("""
    BinaryCrossentropy BinaryFocalCrossentropy CTC CategoricalCrossentropy CategoricalFocalCrossentropy
    CategoricalGeneralizedCrossEntropy CategoricalHinge Circle CosineSimilarity Dice Hinge Huber KLDivergence LogCosh
    MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError MeanSquaredLogarithmicError Poisson
    SparseCategoricalCrossentropy SquaredHinge Tversky
""")

METRICS = _names("""
    AUC Accuracy BinaryAccuracy BinaryCrossentropy BinaryIoU CategoricalAccuracy CategoricalCrossentropy
    CategoricalHinge ConcordanceCorrelation CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives Hinge
    IoU KLDivergence LogCoshError Mean MeanAbsoluteError MeanAbsolutePercentageError MeanIoU MeanMetricWrapper
    MeanSquaredError MeanSquaredLogarithmicError OneHotIoU OneHotMeanIoU PearsonCorrelation Poisson Precision
    PrecisionAtRecall R2Score Recall RecallAtPrecision RootMeanSquaredError SensitivityAtSpecificity
    SparseCategoricalAccuracy SparseCategoricalCrossentropy SparseTopKCategoricalAccuracy SpecificityAtSensitivity
    SquaredHinge Sum TopKCategoricalAccuracy TrueNegatives TruePositives
""")

OPTIMIZERS = _names("""
    Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Muon Nadam RMSprop SGD
    ScheduleFreeAdamW
""")

SCHEDULES = _names("""
    CosineDecay CosineDecayRestarts ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay
""")

ACTIVATIONS = _names("""
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear
    log_sigmoid log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus
    sparse_sigmoid sparsemax squareplus swish tanh tanh_shrink threshold
""")

LOSS_AND_METRIC_FUNCTIONS = _names("""
    accuracy acc bce mae mape mse msle kld binary_accuracy binary_crossentropy binary_focal_crossentropy
    categorical_accuracy categorical_crossentropy categorical_focal_crossentropy
    categorical_generalized_cross_entropy categorical_hinge circle concordance_correlation cosine_similarity ctc dice
    hinge huber kl_divergence kullback_leibler_divergence log_cosh logcosh mean_absolute_error
    mean_absolute_percentage_error mean_squared_error mean_squared_logarithmic_error pearson_correlation poisson
    sparse_categorical_accuracy sparse_categorical_crossentropy sparse_top_k_categorical_accuracy squared_hinge
    top_k_categorical_accuracy tversky
""")

ELEMENTWISE_FUNCTIONS = _names("""
    abs absolute ceil clip cos cosh erf erfc exp exp2 expm1 floor identity log log10 log1p log2 negative reciprocal
    round rsqrt sign sin sinh sqrt square tan
""")

OPS_NUMPY = _names("""
    Abs Absolute Add All Amax Amin Any Append Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Argmax Argmin
    Argpartition Argsort Array ArraySplit Average Bincount BitwiseAnd BitwiseInvert BitwiseLeftShift BitwiseNot
    BitwiseOr BitwiseRightShift BitwiseXor BroadcastTo Cbrt Ceil Clip Concatenate Copy Correlate Cos Cosh CountNonzero
    Cross Cumprod Cumsum Deg2rad Diag Diagflat Diagonal Diff Digitize Divide DivideNoNan Dot Dsplit Dstack Einsum
    EmptyLike Equal Exp Exp2 ExpandDims Expm1 Fabs Flip Fliplr Flipud Floor FloorDivide Fmax Fmin Fmod FullLike GetItem
    Greater GreaterEqual Heaviside Hsplit Hstack Hypot Inner IsIn Isclose Isfinite Isinf Isnan Isneginf Isposinf Kron
    LeftShift Less LessEqual Linspace Log Log10 Log1p Log2 Logaddexp Logaddexp2 LogicalAnd LogicalNot LogicalOr
    LogicalXor Matmul Max Maximum Mean Median Meshgrid Min Minimum Mod Moveaxis Multiply NanToNum Nanmax Nanmean Nanmin
    Nansum Negative NotEqual OnesLike Outer Pad Power Prod Ptp Quantile Rad2deg Ravel Reciprocal Repeat Reshape
    RightShift Roll Rot90 Round SearchSorted Select Sign Signbit Sin Sinc Sinh Sort Split Sqrt Square Squeeze Stack Std
    Subtract Sum Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose Trapezoid Tril Triu TrueDivide
    Trunc UnravelIndex Var Vdot Vsplit Vstack Where ZerosLike
""")

OPS_NN = _names("""
    AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm Celu Conv ConvTranspose DepthToSpace DepthwiseConv
    DotProductAttention Elu Fold Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid
    LogSoftmax MaxPool Moments MultiHot Normalize OneHot RMSNorm Relu Relu6 Selu SeparableConv Sigmoid Silu SoftShrink
    Softmax Softplus Softsign SpaceToDepth SparsePlus SparseSigmoid Sparsemax Squareplus TanhShrink Threshold Unfold
""")

OPS_MATH = _names("""
    CDist Erf Erfc Erfinv ExtractSequences FFT FFT2 IFFT2 IRFFT ISTFT InTopK Logsumexp RFFT Rsqrt STFT SegmentMax
    SegmentMin SegmentProd SegmentSum TopK
""")

OPS_CORE = _names(
    "Cast ConvertToTensor SaturateCast Scatter ScatterUpdate Slice SliceUpdate StopGradient Unstack"
)

OPS_LINALG = _names("Cholesky Det Inv Norm Qr Solve SolveTriangular SVD")

OPS_IMAGE = _names("""
    AffineTransform CropImages ExtractPatches GaussianBlur HSVToRGB PadImages RGBToGrayscale RGBToHSV Resize
""")

OPS = OPS_NUMPY | OPS_NN | OPS_MATH | OPS_CORE | OPS_LINALG | OPS_IMAGE | {"Rearrange"}

PLAIN_VALUES = _names("""
    __tensor__ __keras_tensor__ __numpy__ __bytes__ __slice__ __ellipsis__ __tuple__ TensorShape
""")
"""Class names of values that Keras writes as dicts; they carry no module."""

CLASSES: dict[str, frozenset[str]] = {
    "keras": MODELS | _names("DTypePolicy DTypePolicyMap FloatDTypePolicy QuantizedDTypePolicy Variable"),
    "keras.models": MODELS,
    "keras.src.models.functional": _names("Functional"),
    "keras.src.models.sequential": _names("Sequential"),
    "keras.layers": LAYERS,
    "keras.initializers": INITIALIZERS,
    "keras.regularizers": REGULARIZERS,
    "keras.constraints": CONSTRAINTS,
    "keras.dtype_policies": DTYPE_POLICIES,
    "keras.quantizers": QUANTIZERS,
    "keras.random": _names("SeedGenerator"),
    "keras.losses": LOSSES,
    "keras.metrics": METRICS,
    "keras.optimizers": OPTIMIZERS,
    "keras.optimizers.schedules": SCHEDULES,
    "keras.src.ops.numpy": OPS_NUMPY,
    "keras.src.ops.nn": OPS_NN,
    "keras.src.ops.math": OPS_MATH,
    "keras.src.ops.core": OPS_CORE,
    "keras.src.ops.linalg": OPS_LINALG,
    "keras.src.ops.image": OPS_IMAGE,
    "keras.src.ops.einops": _names("Rearrange"),
    # What keras.applications keeps to itself.
    "keras.src.applications.convnext": _names("LayerScale StochasticDepth"),
    "keras.src.applications.inception_resnet_v2": _names("CustomScaleLayer"),
}
"""Module, as a config names it, to the classes that may be asked of it."""

FUNCTIONS: dict[str, frozenset[str]] = {
    "builtins": ACTIVATIONS | LOSS_AND_METRIC_FUNCTIONS,
    "keras.activations": ACTIVATIONS,
    "keras.losses": LOSS_AND_METRIC_FUNCTIONS,
    "keras.metrics": LOSS_AND_METRIC_FUNCTIONS,
    "keras.ops": ACTIVATIONS | ELEMENTWISE_FUNCTIONS,
}
"""The same for functions."""

UNQUALIFIED = (
    MODELS
    | LAYERS
    | INITIALIZERS
    | REGULARIZERS
    | CONSTRAINTS
    | DTYPE_POLICIES
    | LOSSES
    | METRICS
    | OPTIMIZERS
    | SCHEDULES
    | PLAIN_VALUES
)
"""HDF5 files name a class without its module; Keras then looks only among its own."""

PROGRAMS: dict[str, str] = {
    "Lambda": "replace it by a built-in layer such as Rescaling, or a Keras op",
    "__lambda__": "replace the lambda by a built-in layer or a named Keras function",
    "TFSMLayer": "rebuild that part from built-in layers: it would run another program's graph",
    "TorchModuleWrapper": "rebuild that part from built-in layers",
    "JaxLayer": "rebuild that part from built-in layers",
    "FlaxLayer": "rebuild that part from built-in layers",
}
"""Classes that hold a program, and what to do instead."""

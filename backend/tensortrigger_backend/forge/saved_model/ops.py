"""Which ops may a SavedModel's graph hold where it is run? Only those written out here, which compute and nothing else.

Left out on purpose: files (ReadFile, MatchingFiles, ImmutableConst), the saver's (SaveV2, RestoreV2), printing
(Print, PrintV2, PrintV3), debugging, summaries, Python (PyFunc), datasets, iterators, queues, readers, RPC, Send and
Recv, collectives, serialized programs (XlaCallModule, TRTEngineOp), whatever unpacks bytes to any size
(DecodeCompressed, ParseTensor, DecodeImage), and writing to variables while answering.
"""

from __future__ import annotations


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MATHS = _names("""
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 All Angle Any ApproximateEqual ArgMax ArgMin Asin Asinh Atan Atan2
    Atanh BatchCholesky BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchMatrixBandPart BatchMatrixDiag
    BatchMatrixDiagPart BatchMatrixInverse BatchMatrixSetDiag BesselI0 BesselI0e BesselI1 BesselI1e Betainc Bincount
    BitwiseAnd BitwiseOr BitwiseXor Bucketize Cast Ceil Cholesky ClipByValue Complex ComplexAbs Conj Cos Cosh Cross
    Cumprod Cumsum CumulativeLogsumexp DenseBincount Dequantize Diag DiagPart Digamma Div DivNoNan Einsum Equal Erf
    Erfc Erfinv EuclideanNorm Exp Expm1 FFT FFT2D FFT3D FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel Floor FloorDiv FloorMod Greater GreaterEqual HistogramFixedWidth IFFT IFFT2D
    IFFT3D IRFFT IRFFT2D IRFFT3D Igamma Igammac Imag Inv Invert IsFinite IsInf IsNan L2Loss LeftShift Less LessEqual
    Lgamma LinSpace Log Log1p LogicalAnd LogicalNot LogicalOr LogMatrixDeterminant LowerBound Lu MatMul
    MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2
    MatrixDiagV3 MatrixExponential MatrixInverse MatrixLogarithm MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3
    MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Max Maximum Mean Min Minimum Mod Mul MulNoNan
    Ndtri Neg NextAfter NotEqual Polygamma PopulationCount Pow Prod Qr QuantizeAndDequantize QuantizeAndDequantizeV2
    QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 RFFT RFFT2D RFFT3D Range Real RealDiv Reciprocal
    RightShift Rint Round Rsqrt SegmentMax SegmentMaxV2 SegmentMean SegmentMin SegmentMinV2 SegmentProd
    SegmentProdV2 SegmentSum SegmentSumV2 Select SelectV2 SelfAdjointEigV2 Sigmoid Sign Sin Sinh Sqrt Square
    SquaredDifference Sub Sum Svd Tan Tanh TridiagonalMatMul TridiagonalSolve TruncateDiv TruncateMod
    UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd UnsortedSegmentSum UpperBound Xdivy Xlog1py Xlogy Zeta
""")

_NETWORKS = _names("""
    AdjustContrast AdjustContrastv2 AdjustHue AdjustSaturation AudioSpectrogram AvgPool AvgPool3D
    BatchNormWithGlobalNormalization BiasAdd BiasAddV1 BlockLSTM BlockLSTMV2 CTCBeamSearchDecoder CTCGreedyDecoder
    CombinedNonMaxSuppression Conv Conv2D Conv2DBackpropInput Conv3D Conv3DBackpropInput Conv3DBackpropInputV2
    CropAndResize DataFormatDimMap DataFormatVecPermute DepthwiseConv2dNative Dilation2D DrawBoundingBoxes
    DrawBoundingBoxesV2 Elu ExtractGlimpse ExtractGlimpseV2 ExtractImagePatches ExtractVolumePatches FractionalAvgPool
    FractionalMaxPool FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 FusedPadConv2D FusedResizeAndPadConv2D
    GRUBlockCell GenerateBoundingBoxProposals HSVToRGB ImageProjectiveTransformV2 ImageProjectiveTransformV3 InTopK
    InTopKV2 LRN LSTMBlockCell LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Mfcc
    NonMaxSuppression NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5
    NonMaxSuppressionWithOverlaps NthElement RGBToHSV Relu Relu6 ResizeArea ResizeBicubic ResizeBilinear
    ResizeNearestNeighbor ScaleAndTranslate Selu Softmax Softplus Softsign TopK TopKV2
""")

_ARRAYS = _names("""
    BatchToSpace BatchToSpaceND Bitcast BroadcastArgs BroadcastTo CheckNumerics CheckNumericsV2 Concat ConcatOffset
    ConcatV2 ConjugateTranspose Const DeepCopy DenseToDenseSetOperation DepthToSpace DynamicPartition DynamicStitch
    EditDistance Empty EnsureShape ExpandDims Fill Fingerprint Gather GatherNd GatherV2 GuaranteeConst Identity
    IdentityN InplaceAdd InplaceSub InplaceUpdate InvertPermutation ListDiff MirrorPad OneHot OnesLike Pack Pad PadV2
    ParallelConcat ParallelDynamicStitch Placeholder PlaceholderV2 PlaceholderWithDefault PreventGradient Rank Reshape
    Reverse ReverseSequence ReverseV2 Roll ScatterNd ScatterNdNonAliasingAdd SetSize Shape ShapeN Size Slice Snapshot
    SpaceToBatch SpaceToBatchND SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice TensorScatterAdd
    TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose
    Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 UnravelIndex Unpack Where ZerosLike
""")

_SPARSE_AND_RAGGED = _names("""
    DenseCountSparseOutput DenseToSparseSetOperation RaggedBincount RaggedCountSparseOutput RaggedCross
    RaggedFillEmptyRows RaggedGather RaggedRange RaggedTensorFromVariant RaggedTensorToSparse RaggedTensorToTensor
    RaggedTensorToVariant SparseAdd SparseBincount SparseConcat SparseCountSparseOutput SparseCross SparseCrossHashed
    SparseCrossV2 SparseDenseCwiseAdd SparseDenseCwiseDiv SparseDenseCwiseMul SparseFillEmptyRows SparseMatMul
    SparseReduceMax SparseReduceMaxSparse SparseReduceSum SparseReduceSumSparse SparseReorder SparseReshape
    SparseSegmentMean SparseSegmentMeanWithNumSegments SparseSegmentSqrtN SparseSegmentSqrtNWithNumSegments
    SparseSegmentSum SparseSegmentSumWithNumSegments SparseSlice SparseSoftmax SparseSparseMaximum
    SparseSparseMinimum SparseSplit SparseTensorDenseAdd SparseTensorDenseMatMul SparseToDense
    SparseToSparseSetOperation
""")

_TEXT = _names("""
    AsString DecodeBase64 DecodeCSV DecodeRaw EncodeBase64 ParseExample ParseExampleV2 ParseSequenceExample
    ParseSequenceExampleV2 ParseSingleExample ParseSingleSequenceExample ReduceJoin RegexFullMatch RegexReplace
    StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin StringLength StringLower StringNGrams StringSplit
    StringSplitV2 StringStrip StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber
    StringUpper Substr UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeScript UnicodeTranscode
    UnsortedSegmentJoin
""")

_CONTROL = _names("""
    Assert Case ControlTrigger EmptyTensorList Enter Exit FakeParam If LoopCond Merge NextIteration NoOp
    PartitionedCall RefEnter RefExit RefIdentity RefMerge RefNextIteration RefSelect RefSwitch StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile Switch TensorArrayCloseV2 TensorArrayCloseV3 TensorArrayConcatV2
    TensorArrayConcatV3 TensorArrayGatherV2 TensorArrayGatherV3 TensorArrayReadV2 TensorArrayReadV3
    TensorArrayScatterV2 TensorArrayScatterV3 TensorArraySizeV2 TensorArraySizeV3 TensorArraySplitV2
    TensorArraySplitV3 TensorArrayV2 TensorArrayV3 TensorArrayWriteV2 TensorArrayWriteV3 TensorListConcat
    TensorListConcatLists TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
    TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListPushBackBatch TensorListReserve
    TensorListResize TensorListScatter TensorListScatterIntoExistingList TensorListScatterV2 TensorListSetItem
    TensorListSplit TensorListStack While
""")

# Some networks hold them where they make no difference; that an answer repeats is checked when it is verified.
_RANDOM = _names("""
    Multinomial ParameterizedTruncatedNormal RandomGamma RandomShuffle RandomStandardNormal RandomUniform
    RandomUniformInt StatelessMultinomial StatelessRandomGetKeyCounter StatelessRandomNormal StatelessRandomNormalV2
    StatelessRandomUniform StatelessRandomUniformInt StatelessRandomUniformIntV2 StatelessRandomUniformV2
    StatelessTruncatedNormal StatelessTruncatedNormalV2 TruncatedNormal
""")

VARIABLES = _names("VarHandleOp Variable VariableV2")
TABLES = _names("""
    HashTable HashTableV2 MutableDenseHashTable MutableDenseHashTableV2 MutableHashTable MutableHashTableOfTensors
    MutableHashTableOfTensorsV2 MutableHashTableV2
""")
_READING = _names("""
    IsVariableInitialized LookupTableFind LookupTableFindV2 LookupTableSize LookupTableSizeV2 ReadVariableOp
    ResourceGather ResourceGatherNd VarIsInitializedOp VariableShape
""")

COMPUTING = (
    _MATHS
    | _NETWORKS
    | _ARRAYS
    | _SPARSE_AND_RAGGED
    | _TEXT
    | _CONTROL
    | _RANDOM
    | VARIABLES
    | TABLES
    | _READING
)
"""What may be run to answer."""

FILE_TABLES = _names("InitializeTableFromTextFile InitializeTableFromTextFileV2")
STARTING = (
    COMPUTING
    | FILE_TABLES
    | _names("""
    Assign AssignVariableOp InitializeTable InitializeTableV2 LookupTableImport LookupTableImportV2
""")
)
"""What may be run once, to fill tables and variables; a file that it reads must be an asset of the archive."""

FROZEN = (COMPUTING - VARIABLES) | _names("InitializeTableV2 LookupTableImportV2")
"""What may be in the graph that the forge writes."""

_FILES = "leave reading and writing of files out of what the signature runs, and keep vocabularies as assets"
_REMEDIES: tuple[tuple[str, str], ...] = (
    ("ReadFile WriteFile MatchingFiles ImmutableConst Save Restore MergeV2 LoadAndRemap", _FILES),
    ("Print Debug Summary WriteSummary Copy Timestamp", "take printing, debugging and summaries out"),
    ("PyFunc EagerPyFunc", "replace the Python function by TensorFlow ops"),
    (
        "Assign Scatter Resource LookupTableInsert LookupTableRemove",
        "export a signature that only reads variables and tables",
    ),
    ("Decode ExtractJpeg ParseTensor SerializeTensor", "export a signature that takes the decoded numbers"),
    ("XlaCallModule TRTEngineOp TfLite", "export the model as plain TensorFlow ops"),
    ("Iterator Queue Reader Dataset OneShot", "export a signature that takes its inputs as tensors"),
    ("Stateful Rng RandomGenerator", "export the model as it answers, without random state"),
    ("Anonymous", "create the table once, when the model is made"),
)


def remedy_for(op: str) -> str:
    """What the caller may do about an op that is not listed."""
    if "Dataset" in op or "Queue" in op:
        op = "Dataset"
    for beginnings, remedy in _REMEDIES:
        if op.startswith(tuple(beginnings.split())):
            return remedy
    return "export the model with TensorFlow's own computing ops only"

"""What can a config of a few hundred bytes ask for? Weights, tensors and steps that no machine has."""

from __future__ import annotations

from hostile_corpus.artifact import Artifact, Effect
from hostile_corpus.keras_files import Config, archive, bare, dense, entrance, hdf5, of, sequential

_CODES = ("too_large", "weights_mismatch", "forge_limit", "cannot_load")
_BILLION = 10**9


def artifacts() -> list[Artifact]:
    """Layers of the allow-list, with numbers that are not."""
    return [
        _asks("dense-of-a-billion-units", 3 * _BILLION, dense(_BILLION)),
        _asks("embedding-of-ten-billion-rows", 8 * 10**10, of("Embedding", input_dim=10**10, output_dim=8)),
        _asks("repeat-vector", 3 * _BILLION, of("RepeatVector", n=_BILLION)),
        _asks(
            "category-encoding",
            _BILLION,
            of("CategoryEncoding", num_tokens=_BILLION, output_mode="multi_hot"),
        ),
        _asks("reshape", _BILLION**2, of("Reshape", target_shape=[_BILLION, _BILLION])),
        _asks("kernel", 10**10, _conv([10**5, 10**5]), (8, 8, 1)),
        _asks("up-sampling", 64 * 10**10, of("UpSampling2D", size=[10**5, 10**5]), (8, 8, 1)),
        _asks(
            "padding", 4 * 10**12, of("ZeroPadding2D", padding=[[10**6, 10**6], [10**6, 10**6]]), (8, 8, 1)
        ),
        _asks("input-of-ten-billion-numbers", 10**10, of("Rescaling", scale=1.0, offset=0.0), (10**5, 10**5)),
        Artifact(
            "hdf5/dense-of-a-billion-units",
            Effect.EXPANDS,
            lambda _: hdf5(bare(sequential(entrance(), dense(_BILLION)))),
            _CODES,
            bomb=lambda data: (len(data), 12 * _BILLION),
        ),
    ]


def _conv(kernel: list[int]) -> Config:
    return of("Conv2D", filters=1, kernel_size=kernel, padding="same", use_bias=False)


def _asks(name: str, numbers: int, layer: Config, shape: tuple[int, ...] = (3,)) -> Artifact:
    """``numbers`` is how many float32 values the weights or the answer to one row hold."""
    return Artifact(
        f"keras/{name}",
        Effect.EXPANDS,
        lambda _: archive(sequential(entrance(shape), layer)),
        _CODES,
        bomb=lambda data: (len(data), 4 * numbers),
    )

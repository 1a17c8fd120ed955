"""Benign models of sequences: recurrent layers, embeddings and attention."""

from __future__ import annotations

import keras
from benign_registry import benign, chain
from keras import Input, Model, layers


@benign
def stacked_recurrent() -> keras.Model:
    stack = layers.LSTM(4, return_sequences=True, dropout=0.2), layers.GRU(4, return_sequences=True)
    return chain((6, 3), *stack, layers.SimpleRNN(3, go_backwards=True), layers.Dense(1))


@benign
def recurrent_states() -> keras.Model:
    x = Input((5, 3), name="x")
    _, h, c = layers.LSTM(4, return_state=True)(x)
    return Model(x, layers.LSTM(4, return_sequences=True)(x, initial_state=[h, c]))


@benign
def bidirectional_of_any_length() -> keras.Model:
    first = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    return chain((None, 2), first, layers.Bidirectional(layers.GRU(3), merge_mode="ave"))


@benign
def recurrent_cells() -> keras.Model:
    x = Input((5, 2), name="x")
    stacked = layers.RNN(layers.StackedRNNCells([layers.LSTMCell(3), layers.GRUCell(2)]))
    return Model(x, [stacked(x), layers.RNN(layers.SimpleRNNCell(3))(x)])


@benign
def recurrent_convolutions() -> keras.Model:
    x, y = Input((3, 6, 2), name="x"), Input((3, 5, 5, 1), name="y")
    z = Input((2, 3, 3, 3, 1), name="z")
    return Model(
        [x, y, z], [layers.ConvLSTM1D(2, 3)(x), layers.ConvLSTM2D(2, 3)(y), layers.ConvLSTM3D(2, 2)(z)]
    )


@benign
def masked_sequence() -> keras.Model:
    return chain((6, 2), layers.Masking(0.0), layers.LSTM(3), layers.Dense(1))


@benign
def steps_of_time() -> keras.Model:
    return chain((4, 5), layers.TimeDistributed(layers.Dense(3, activation="relu")), layers.GRU(2))


@benign
def word_embedding() -> keras.Model:
    stack = layers.Embedding(10, 4, mask_zero=True), layers.Bidirectional(layers.LSTM(3))
    return chain((7,), *stack, layers.Dense(1, activation="sigmoid"), name="ids")


@benign
def tied_embedding() -> keras.Model:
    ids = Input((5,), name="ids", dtype="int32")
    embedding = layers.ReversibleEmbedding(10, 6)
    return Model(ids, embedding(layers.Dense(6)(embedding(ids)), reverse=True))


@benign
def transformer_block() -> keras.Model:
    ids = Input((None,), name="ids", dtype="int32")
    x = layers.Embedding(10, 8)(ids)
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    x = layers.RMSNormalization()(x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x)))
    return Model(ids, layers.Dense(10, activation="softmax")(x))


@benign
def grouped_attention() -> keras.Model:
    x = Input((5, 8), name="x")
    return Model(x, layers.GroupQueryAttention(4, 4, 2)(x, x))


@benign
def attentions() -> keras.Model:
    query, value = Input((4, 6), name="query"), Input((5, 6), name="value")
    kinds = (
        layers.Attention(use_scale=True),
        layers.AdditiveAttention(),
        layers.Attention(score_mode="concat"),
    )
    return Model([query, value], [kind([query, value]) for kind in kinds])


@benign
def einsum_dense() -> keras.Model:
    return chain(
        (4, 6), layers.EinsumDense("abc,cd->abd", output_shape=(None, 5), bias_axes="d"), layers.Flatten()
    )

"""Reference for attention rollout, in float64 NumPy: writes rollout.txt beside this file.

Abnar & Zuidema, "Quantifying Attention Flow in Transformers" (ACL 2020), by whole matrices.
Format of a case, whitespace between all numbers:
    layers heads tokens
    weights [layers, heads, tokens, tokens] (float32)   from [tokens]   result [tokens]
"""

import pathlib

import numpy as np


def rollout(weights, start):
    tokens = weights.shape[-1]
    product = np.eye(tokens)
    for layer in weights.astype(np.float64):
        mixed = 0.5 * layer.mean(axis=0) + 0.5 * np.eye(tokens)
        mixed /= mixed.sum(axis=1, keepdims=True)
        product = mixed @ product
    return start @ product


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def main():
    rng = np.random.default_rng(7)
    lines = []
    # the last case: weights whose rows do not sum to 1, as sigmoid or hard selection gives them
    for layers, heads, tokens, kind in [(1, 1, 2, "cls"), (3, 2, 5, "cls"), (4, 3, 7, "pool"),
                                        (2, 4, 9, "mean"), (3, 2, 6, "sigmoid")]:
        scores = 2 * rng.standard_normal((layers, heads, tokens, tokens))
        weights = softmax(scores) if kind != "sigmoid" else 1 / (1 + np.exp(-scores))
        weights = weights.astype(np.float32)
        start = np.eye(tokens)[0]
        if kind == "pool":
            start = softmax(rng.standard_normal(tokens))
        elif kind == "mean":
            start = np.full(tokens, 1 / tokens)
        lines.append(f"{layers} {heads} {tokens}")
        lines.append(" ".join(f"{x:.9g}" for x in weights.ravel()))
        lines.append(" ".join(f"{x:.17g}" for x in start))
        lines.append(" ".join(f"{x:.17g}" for x in rollout(weights, start)))
    target = pathlib.Path(__file__).with_name("rollout.txt")
    target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

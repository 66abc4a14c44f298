"""Weights and inputs from names alone, so that fixtures need to store neither.

A value depends on the *official* parameter name and shape and nothing else: fill under official names,
convert after. Only the raw 64-bit stream of PCG64 is used, which is the same in every numpy; values are
uniform, with standard deviations that keep activations and logits near unit size.
"""

import hashlib
import math

import numpy as np
import torch

_POSITIONS = ("pos_embed", "cls_token", "class_token", "spatial_pos", "temporal_pos", "class_pos")


def _uniform(tag, shape, std):
    count = math.prod(shape)
    bits = np.random.PCG64(int.from_bytes(hashlib.sha256(tag.encode()).digest()[:16], "little"))
    out = np.empty(count, dtype=np.float32)
    step = 1 << 22  # bounded memory for very large tensors
    for start in range(0, count, step):
        stop = min(count, start + step)
        unit = (bits.random_raw(stop - start) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        out[start:stop] = (2.0 * unit - 1.0) * (math.sqrt(3.0) * std)
    return out.reshape(shape)


def fill_array(key, shape):
    """float32 array for the parameter that the official code calls `key`."""
    shape, tag = tuple(shape), "w|" + key
    if "rel_pos" in key:
        return _uniform(tag, shape, 0.2)
    if any(name in key for name in _POSITIONS):
        return _uniform(tag, shape, 0.5)
    if len(shape) <= 1:
        if key.endswith("weight"):  # scale of a LayerNorm
            return (1.0 + _uniform(tag, shape, 0.1)).astype(np.float32)
        return _uniform(tag, shape, 0.1)
    return _uniform(tag, shape, 1.0 / math.sqrt(math.prod(shape[1:])))


def fill_state_dict(shapes):
    """{official key: shape} -> {official key: float32 tensor}."""
    return {key: torch.from_numpy(fill_array(key, shape)) for key, shape in shapes.items()}


def make_input(name, shape):
    """float32 clip of zero mean and unit standard deviation."""
    return torch.from_numpy(_uniform("x|" + name, tuple(shape), 1.0))


def summary(x, count=64):
    """Fingerprint of a tensor: shape, first and last values; mean, standard deviation, L2 norm in float64."""
    flat = x.detach().float().numpy().reshape(-1)
    exact = flat.astype(np.float64)
    return {
        "shape": np.array(x.shape, np.int64),
        "first": flat[:count],
        "last": flat[-count:],
        "stats": np.array([exact.mean(), exact.std(), math.sqrt(float((exact * exact).sum()))]),
    }

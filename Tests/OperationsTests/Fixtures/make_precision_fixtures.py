"""Writes precision.h5: operations in bfloat16, and how far PyTorch's autocast is from the truth on the same inputs.

Each group has the inputs, and with `dy` the result and the gradients in float64, stored as float32. `autocast/NAME` is the
length of autocast's error of a result or gradient over the length of the true one. Inputs that are bfloat16 in a network
are numbers of bfloat16 here.

    python make_precision_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(20261129)
out = h5py.File(Path(__file__).with_name("precision.h5"), "w")


def wide(*shape, scale=1.0):
    return torch.randn(*shape) * scale


def narrow(*shape, scale=1.0):
    return wide(*shape, scale=scale).bfloat16()


def run(group, function, **inputs):
    """`function` gets each input in double precision, and as it is under autocast."""
    exact = {name: value.double().requires_grad_() for name, value in inputs.items()}
    y = function(**exact)
    dy = torch.randn(y.shape).bfloat16()
    gradients = torch.autograd.grad((y * dy.double()).sum(), list(exact.values()))

    leaves = {name: value.clone().requires_grad_() for name, value in inputs.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = function(**leaves)
    found_gradients = torch.autograd.grad(found, list(leaves.values()), dy.to(found.dtype))

    def store(name, value):
        out[f"{group}/{name}"] = value.detach().float().numpy().astype(np.float32)

    def error(found, expected):
        return ((found.double() - expected).norm() / expected.norm()).detach()

    for name, value in inputs.items():
        store(name, value)
    store("y", y)
    store("dy", dy)
    store("autocast/y", error(found, y))
    for name, gradient, found_gradient in zip(inputs, gradients, found_gradients):
        store("d" + name, gradient)
        store("autocast/d" + name, error(found_gradient, gradient))


run("linear", lambda x, weight, bias: F.linear(x, weight, bias),
    x=wide(2, 25, 64), weight=wide(48, 64, scale=0.1), bias=wide(48))
run("linear_of_narrow", lambda x, weight, bias: F.linear(x, weight, bias),
    x=narrow(2, 25, 64), weight=wide(48, 64, scale=0.1), bias=wide(48))
run("normalized_linear",
    lambda x, norm_weight, norm_bias, weight, bias:
    F.linear(F.layer_norm(x, norm_weight.shape, norm_weight, norm_bias, 1e-6), weight, bias),
    x=wide(2, 25, 64) * 2 + 1, norm_weight=wide(64), norm_bias=wide(64), weight=wide(48, 64, scale=0.1), bias=wide(48))


def attend(qkv, bias, heads=2):
    """As BEiT's code."""
    samples, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = qkv.reshape(samples, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    weights = (q * (width // heads) ** -0.5 @ k.transpose(-2, -1) + bias).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(samples, tokens, width)


run("attention", attend, qkv=narrow(2, 35, 3 * 64), bias=wide(2, 35, 35))

rows = [0, 3, 17, 34, 70, 71, 104]


def attend_some(query, key_value, bias, heads=2):
    width = query.shape[1]
    tokens = key_value.shape[1]
    k, v = key_value.reshape(-1, tokens, 2, heads, width // heads).permute(2, 0, 3, 1, 4)
    results = []
    for row, q in zip(rows, query):
        sample, token = divmod(row, tokens)
        q = q.reshape(heads, 1, width // heads) * (width // heads) ** -0.5
        weights = (q @ k[sample].transpose(-2, -1) + bias[:, token:token + 1]).softmax(-1)
        results.append((weights @ v[sample]).reshape(width))
    return torch.stack(results)


run("attention_of_rows", attend_some, query=narrow(len(rows), 64), key_value=narrow(3, 35, 2 * 64), bias=wide(2, 35, 35))

run("residual", lambda x, h, weight, bias, gamma: x + gamma * F.linear(h, weight, bias),
    x=wide(2, 25, 48), h=narrow(2, 25, 64), weight=wide(48, 64, scale=0.1), bias=wide(48), gamma=wide(48))
run("mlp",
    lambda x, h, activation, weight, bias, gamma: x + gamma * F.linear(F.gelu(h + activation), weight, bias),
    x=wide(2, 25, 48), h=narrow(2, 25, 64, scale=2), activation=wide(64), weight=wide(48, 64, scale=0.1), bias=wide(48),
    gamma=wide(48))
run("patch_embedding",
    lambda images, weight, bias: F.conv2d(images.permute(0, 3, 1, 2), weight, bias, stride=4).flatten(2).transpose(1, 2)
    .reshape(-1, 24),
    images=wide(2, 8, 12, 3), weight=wide(24, 3, 4, 4, scale=0.2), bias=wide(24))


def convolve(x, weight, bias, **options):
    return F.conv2d(x.permute(0, 3, 1, 2), weight, bias, **options).permute(0, 2, 3, 1)


run("convolution", lambda x, weight, bias: convolve(x, weight, bias, padding=1),
    x=narrow(3, 9, 10, 32), weight=wide(16, 32, 3, 3, scale=0.1), bias=wide(16))
run("convolution_of_wide", lambda x, weight, bias: convolve(x, weight, bias, padding=1, stride=2),
    x=wide(2, 8, 10, 3), weight=wide(16, 3, 3, 3, scale=0.3), bias=wide(16))
run("convolution_1x1", lambda x, weight, bias: convolve(x, weight, bias),
    x=narrow(2, 5, 6, 32), weight=wide(32, 32, 1, 1, scale=0.2), bias=wide(32))
run("convolution_transposed",
    lambda x, weight, bias: F.conv_transpose2d(x.permute(0, 3, 1, 2), weight, bias, stride=2, padding=1)
    .permute(0, 2, 3, 1), x=wide(2, 5, 4, 8), weight=wide(8, 6, 4, 4, scale=0.2), bias=wide(6))


def normalize(x, weight, bias):
    x = x.permute(0, 3, 1, 2)
    return F.silu(F.group_norm(x, 4, weight.to(x.dtype), bias.to(x.dtype), 1e-6)).permute(0, 2, 3, 1)


run("group_norm_silu", normalize, x=narrow(2, 6, 7, 32, scale=2), weight=wide(32), bias=wide(32))
run("upsample", lambda x: F.interpolate(x.permute(0, 3, 1, 2), scale_factor=2).permute(0, 2, 3, 1), x=narrow(2, 3, 4, 16))

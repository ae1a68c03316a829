"""Writes transformer.h5: inputs, weights, outputs and gradients of the transformer's operations, by PyTorch.

Everything is computed in float64 and stored as float32. The scalar that gradients belong to is sum(y * dy).

    python make_transformer_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(20240607)
torch.set_default_dtype(torch.float64)
out = h5py.File(Path(__file__).with_name("transformer.h5"), "w")


def leaf(*shape, scale=1.0):
    # Rounded to float32, so that both sides start from the same numbers.
    return (torch.randn(*shape) * scale).float().double().requires_grad_()


def store(group, **values):
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        value = np.asarray(value)
        out[f"{group}/{name}"] = value.astype(np.int32 if value.dtype.kind == "i" else np.float32)


def run(group, function, extra=None, **inputs):
    """Stores the inputs, y = function(**inputs), dy, and d<input> for each input."""
    y = function(**inputs)
    dy = torch.randn(y.shape).float().double()
    gradients = torch.autograd.grad((y * dy).sum(), list(inputs.values()))
    store(group, **inputs, y=y, dy=dy, **(extra or {}))
    store(group, **{"d" + name: g for name, g in zip(inputs, gradients)})


run("linear", lambda x, weight, bias: F.linear(x, weight, bias),
    x=leaf(3, 5, 37), weight=leaf(29, 37), bias=leaf(29))
run("linear_gelu", lambda x, weight, bias: F.gelu(F.linear(x, weight, bias)),
    x=leaf(3, 5, 37), weight=leaf(29, 37, scale=0.3), bias=leaf(29))

norm = lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, 1e-6)
run("layer_norm", norm, x=(leaf(4, 3, 53) * 2 + 3).detach().float().double().requires_grad_(),
    weight=leaf(53), bias=leaf(53))
samples = [0, 2, 3]
run("layer_norm_samples", lambda x, weight, bias: norm(x[samples], weight, bias),
    x=leaf(4, 3, 53), weight=leaf(53), bias=leaf(53), extra={"samples": samples})

run("gelu", F.gelu, input=torch.linspace(-14, 14, 1001).float().double().requires_grad_())
run("softmax", lambda x: x.softmax(-1), x=leaf(5, 3, 21, scale=4))


def attend(qkv, bias, heads=3):
    samples, tokens, width = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
    q, k, v = qkv.reshape(samples, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-2, -1) * (width // heads) ** -0.5 + bias).softmax(-1)
    return (weights @ v).transpose(1, 2).reshape(samples, tokens, width)


run("attention", attend, qkv=leaf(5, 19, 3 * 36), bias=leaf(3, 19, 19))


def module(x, qkv_weight, q_bias, v_bias, proj_weight, proj_bias, bias):
    qkv = F.linear(x, qkv_weight, torch.cat([q_bias, torch.zeros_like(q_bias), v_bias]))
    return F.linear(attend(qkv, bias), proj_weight, proj_bias)


run("attention_module", module, x=leaf(4, 19, 36), qkv_weight=leaf(108, 36, scale=0.3), q_bias=leaf(36),
    v_bias=leaf(36), proj_weight=leaf(36, 36, scale=0.3), proj_bias=leaf(36), bias=leaf(3, 19, 19))
run("attention_full_bias",
    lambda x, qkv_weight, qkv_bias, proj_weight, proj_bias:
    F.linear(attend(F.linear(x, qkv_weight, qkv_bias), 0), proj_weight, proj_bias),
    x=leaf(4, 19, 36), qkv_weight=leaf(108, 36, scale=0.3), qkv_bias=leaf(108),
    proj_weight=leaf(36, 36, scale=0.3), proj_bias=leaf(36))


def relative_position_index(height, width):
    """BEiT's, as published."""
    count = (2 * height - 1) * (2 * width - 1) + 3
    coordinates = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).flatten(1)
    relative = (coordinates[:, :, None] - coordinates[:, None, :]).permute(1, 2, 0).contiguous()
    relative[:, :, 0] += height - 1
    relative[:, :, 1] += width - 1
    relative[:, :, 0] *= 2 * width - 1
    index = torch.zeros((height * width + 1,) * 2, dtype=torch.long)
    index[1:, 1:] = relative.sum(-1)
    index[0, :] = count - 3
    index[:, 0] = count - 2
    index[0, 0] = count - 1
    return index


index = relative_position_index(3, 4)
run("relative_position_bias", lambda table: table[index.flatten()].reshape(13, 13, -1).permute(2, 0, 1),
    table=leaf(5 * 7 + 3, 3), extra={"index": index})

targets = torch.tensor([3, 0, 20, 7, 7, 11])
logits = leaf(6, 21, scale=3)
with torch.no_grad():
    logits[1, 0] = 15
    logits[4, 7] = 12
for smoothing, group in [(0.0, "cross_entropy"), (0.1, "cross_entropy_smoothed")]:
    loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
    (gradient,) = torch.autograd.grad(loss, logits)
    store(group, logits=logits, targets=targets, loss=loss, dlogits=gradient,
          correct=int((logits.argmax(-1) == targets).sum()))

run("patch_embedding",
    lambda images, weight, bias:
    F.conv2d(images.permute(0, 3, 1, 2), weight, bias, stride=4).flatten(2).transpose(1, 2).reshape(-1, 10),
    images=leaf(2, 8, 12, 3), weight=leaf(10, 3, 4, 4), bias=leaf(10))

indices = torch.tensor([4, 0, 4, 6, 4, 0])
run("embedding", lambda weight: F.embedding(indices, weight), weight=leaf(7, 9), extra={"indices": indices})

masked = torch.tensor([1, 3, 4, 6, 10])


def assemble(patches, cls_token, mask_token, pos_embed):
    mask = torch.zeros(12, 1)
    mask[masked] = 1
    x = patches * (1 - mask) + mask_token[0] * mask
    return torch.cat([cls_token.expand(2, -1, -1), x.reshape(2, 6, 8)], 1) + pos_embed


run("token_assembly", assemble, patches=leaf(12, 8), cls_token=leaf(1, 1, 8), mask_token=leaf(1, 1, 8),
    pos_embed=leaf(1, 7, 8), extra={"masked": masked})

kept = [0, 3]


def connect(x, branch, gamma):
    y = x.clone()
    y[kept] = x[kept] + 1.25 * gamma * branch
    return y


run("residual", connect, x=leaf(4, 3, 21), branch=leaf(2, 3, 21), gamma=leaf(21), extra={"samples": kept})

rows = [2, 11, 5, 0]
run("gather_rows", lambda x: x.reshape(12, 7)[rows], x=leaf(4, 3, 7), extra={"rows": rows})
run("mean_of_patches", lambda x: x[:, 1:].mean(1), x=leaf(3, 6, 9))

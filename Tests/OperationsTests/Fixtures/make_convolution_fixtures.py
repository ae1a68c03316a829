"""Writes convolution.h5: what PyTorch computes for the convolutional layers, forward and backward.

Every group holds inputs, parameters, the output `y`, the gradient `dy` that is sent back, and the gradients that
come out (`dx`, `dweight`, ...). Images are written channels last.

    python make_convolution_fixtures.py
"""

import pathlib

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
file = h5py.File(pathlib.Path(__file__).with_name("convolution.h5"), "w")


def rand(*shape):
    # Values that float32 holds exactly, so that both sides compute from the same numbers.
    return torch.randn(*shape).float().double()


def write(group, **values):
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            value = value.detach()
            if value.dim() == 4 and "weight" not in name:
                value = value.permute(0, 2, 3, 1)
            value = value.numpy()
            value = value.astype(np.int32 if value.dtype == np.int64 else np.float32)
        else:
            value = np.asarray(value, np.int32)
        file.require_group(group).create_dataset(name, data=value)


def record(group, function, x, settings=None, **parameters):
    """Runs function(x, **parameters), sends a random gradient back and writes everything."""
    leaves = [t for t in [x, *parameters.values()] if t is not None]
    for leaf in leaves:
        leaf.requires_grad_()
    y = function(x, **parameters)
    dy = rand(*y.shape)
    y.backward(dy)
    write(group, x=x, y=y, dy=dy, dx=x.grad, **(settings or {}))
    for name, value in parameters.items():
        if value is not None:
            write(group, **{name: value, "d" + name: value.grad})


def convolution(name, channels, out, kernel, size, stride=1, padding=(0, 0, 0, 0), relu=False, bias=True):
    """padding: left, right, top, bottom."""

    def function(x, weight, bias=None):
        y = F.conv2d(F.pad(x, padding), weight, bias, stride)
        return F.relu(y) if relu else y

    left, right, top, bottom = padding
    record(
        "convolution/" + name, function, rand(2, channels, *size),
        {"stride": [stride], "padding": [top, bottom, left, right], "relu": [int(relu)]},
        weight=rand(out, channels, kernel, kernel), bias=rand(out) if bias else None)


same = (1, 1, 1, 1)
convolution("odd", 5, 7, 3, (9, 11), padding=same)
convolution("wide", 16, 32, 3, (8, 8), padding=same)
convolution("from_image", 3, 16, 3, (10, 12), padding=same)
convolution("to_image", 16, 3, 3, (10, 12), padding=same)
convolution("downsample", 8, 8, 3, (10, 10), stride=2, padding=(0, 1, 0, 1))
convolution("downsample_odd", 16, 16, 3, (9, 7), stride=2, padding=(0, 1, 0, 1))
convolution("strided", 4, 6, 5, (11, 13), stride=2, padding=(2, 2, 2, 2))
convolution("unpadded", 4, 6, 3, (7, 6))
convolution("lopsided", 6, 4, 3, (7, 8), padding=(2, 0, 1, 3))
convolution("pointwise", 16, 24, 1, (6, 5))
convolution("patches", 3, 20, 4, (8, 12), stride=4)
convolution("relu", 8, 16, 3, (8, 8), padding=same, relu=True)
convolution("no_bias", 8, 16, 3, (6, 6), padding=same, bias=False)


def transposed(name, channels, out, kernel, size, stride, padding, bias=True):
    record(
        "transposed/" + name, lambda x, weight, bias=None: F.conv_transpose2d(x, weight, bias, stride, padding),
        rand(2, channels, *size), {"stride": [stride], "padding": [padding] * 4},
        weight=rand(channels, out, kernel, kernel), bias=rand(out) if bias else None)


transposed("doubling", 6, 4, 4, (5, 6), 2, 1)
transposed("plain", 8, 16, 3, (6, 6), 1, 1)
transposed("no_bias", 16, 3, 2, (4, 3), 2, 0, bias=False)


def group_norm(name, channels, groups, size, silu, shift=0.0, batch=3):
    def function(x, weight, bias):
        y = F.group_norm(x, groups, weight, bias, 1e-6)
        return F.silu(y) if silu else y

    x = (rand(batch, channels, *size) + shift).float().double()
    record("group_norm/" + name, function, x, {"groups": [groups], "silu": [int(silu)]},
           weight=rand(channels), bias=rand(channels))


group_norm("plain", 16, 4, (5, 6), False)
group_norm("silu", 16, 4, (5, 6), True)
group_norm("one_group", 6, 1, (4, 4), True)
group_norm("each_channel", 8, 8, (4, 4), False)
group_norm("far_from_zero", 8, 2, (8, 8), True, shift=50.0)
group_norm("over_a_tile", 72, 8, (7, 5), True, batch=2)

x = rand(2, 5, 6, 8) * 3
record("silu", F.silu, x.detach().float().double())
record("relu", F.relu, rand(2, 5, 6, 8))
record("upsample/2", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), rand(2, 5, 4, 3))
record("upsample/3", lambda x: F.interpolate(x, scale_factor=3, mode="nearest"), rand(1, 4, 2, 3))
record("max_pool/even", lambda x: F.max_pool2d(x, 2), rand(2, 5, 6, 8))
record("max_pool/odd", lambda x: F.max_pool2d(x, 2), rand(2, 5, 7, 5))
# Whole numbers, so that windows hold their greatest value more than once.
record("max_pool/ties", lambda x: F.max_pool2d(x, 2), torch.randint(0, 2, (2, 17, 8, 8)).double())
record("average_pool/2", lambda x: F.avg_pool2d(x, 2), rand(2, 5, 6, 8))
record("average_pool/3", lambda x: F.avg_pool2d(x, 3), rand(2, 5, 7, 9))
record("unit_channels", lambda x: x / (x.norm(dim=1, keepdim=True) + 1e-10), rand(2, 20, 4, 3))


def attention(q, k, v):
    b, c, h, w = q.shape
    q, k, v = (t.reshape(b, c, h * w) for t in (q, k, v))
    weights = torch.softmax(torch.bmm(q.transpose(1, 2), k) * c**-0.5, dim=2)
    return torch.bmm(v, weights.transpose(1, 2)).reshape(b, c, h, w)


q, k, v = (rand(2, 8, 4, 5).requires_grad_() for _ in range(3))
y = attention(q, k, v)
dy = rand(*y.shape)
y.backward(dy)
write("attention", q=q, k=k, v=v, y=y, dy=dy, dq=q.grad, dk=k.grad, dv=v.grad)

for name, loss in [("l1", F.l1_loss), ("mean_squared", F.mse_loss)]:
    x, target = rand(2, 5, 6, 3).requires_grad_(), rand(2, 5, 6, 3).requires_grad_()
    y = loss(x, target)
    y.backward()
    write("loss/" + name, x=x, target=target, y=y, dx=x.grad, dtarget=target.grad)

# Vector quantization, written out as in the papers: three steps of assignment and moving averages.
tokens, length, decay, epsilon = 24, 6, 0.9, 1e-5
embedding = rand(tokens, length)
size, average = torch.ones(tokens), embedding.clone()
write("quantizer", embedding=embedding)
for step in range(3):
    z = rand(2, length, 5, 7).requires_grad_()
    flat = z.permute(0, 2, 3, 1).reshape(-1, length)
    indices = torch.cdist(flat, embedding).argmin(1)
    quantized = embedding[indices].reshape(2, 5, 7, length).permute(0, 3, 1, 2)
    commitment = ((z - quantized) ** 2).mean()
    straight = z + (quantized - z).detach()
    dy = rand(*straight.shape)
    ((straight * dy).sum() + 0.25 * commitment).backward()
    one_hot = F.one_hot(indices, tokens).double()
    counts, sums = one_hot.sum(0), one_hot.T @ flat.detach()
    size = decay * size + (1 - decay) * counts
    average = decay * average + (1 - decay) * sums
    total = size.sum()
    embedding = average / ((size + epsilon) / (total + tokens * epsilon) * total)[:, None]
    share = counts / counts.sum()
    perplexity = torch.exp(-(share * torch.log(share + (share == 0))).sum())
    write(f"quantizer/step{step}", z=z, indices=indices, quantized=quantized, commitment=commitment, dy=dy,
          dz=z.grad, counts=counts, sums=sums, size=size, average=average, embedding=embedding,
          perplexity=perplexity, used=(counts > 0).double().mean())

file.close()

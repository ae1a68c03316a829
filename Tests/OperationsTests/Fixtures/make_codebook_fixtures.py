"""Writes codebook.h5: a codebook that learns by gradient (van den Oord et al., 1711.00937, equation 3), plain and with
vectors and entries at length 1 (Yu et al., 2110.04627), in PyTorch.

    python make_codebook_fixtures.py
"""

import pathlib

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(5)
torch.set_default_dtype(torch.float64)
ENTRIES, LENGTH = 13, 6

with h5py.File(pathlib.Path(__file__).with_name("codebook.h5"), "w") as file:
    for form in ["plain", "normalized"]:
        z = torch.randn(2, 4, 5, LENGTH).float().double().requires_grad_()
        embedding = torch.randn(ENTRIES, LENGTH).float().double().requires_grad_()
        dy = torch.randn(2, 4, 5, LENGTH).float().double()
        unit = (lambda x: F.normalize(x, dim=-1)) if form == "normalized" else (lambda x: x)
        vectors, table = unit(z), unit(embedding)
        indices = torch.cdist(vectors.reshape(-1, LENGTH), table).argmin(1)
        entries = table[indices].reshape(vectors.shape)
        straight = vectors + (entries - vectors).detach()
        commitment = ((vectors - entries.detach()) ** 2).mean()
        codebook = ((vectors.detach() - entries) ** 2).mean()
        ((straight * dy).sum() + 0.25 * commitment + codebook).backward()
        for name, value in dict(
            z=z, embedding=embedding, dy=dy, quantized=entries, loss=codebook, dz=z.grad, dembedding=embedding.grad
        ).items():
            file.create_dataset(f"{form}/{name}", data=value.detach().numpy().astype(np.float32))
        file.create_dataset(f"{form}/indices", data=indices.numpy().astype(np.int32))

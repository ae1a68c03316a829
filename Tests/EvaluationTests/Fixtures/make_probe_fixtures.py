"""Writes probe.h5: softmax regressions that PyTorch's L-BFGS finds in double precision, and votes of nearest neighbors.

    python make_probe_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(0)
classes, width = 4, 6
centers = torch.randn(classes, width) * 1.5
labels = torch.arange(90) % classes
features = (centers[labels] + torch.randn(90, width)).float()
asked = (centers[torch.arange(12) % classes] + torch.randn(12, width)).float()

with h5py.File(Path(__file__).parent / "probe.h5", "w") as file:
    file["features"], file["labels"], file["asked"] = features.numpy(), labels.numpy().astype(np.int32), asked.numpy()
    for penalty in [0.1, 0.001]:
        weight = torch.zeros(classes, width, dtype=torch.double, requires_grad=True)
        bias = torch.zeros(classes, dtype=torch.double, requires_grad=True)
        optimizer = torch.optim.LBFGS(
            [weight, bias], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe")

        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(features.double() @ weight.T + bias, labels) + penalty / 2 * (weight**2).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
        logits = (asked.double() @ weight.T + bias).detach()
        file[f"logits/{penalty}"] = (logits - logits.mean(1, keepdim=True)).numpy().astype(np.float32)
    similarity = F.normalize(asked.double()) @ F.normalize(features.double()).T
    best, places = similarity.topk(20)
    votes = torch.zeros(12, classes, dtype=torch.double).scatter_add_(1, labels[places], (best / 0.07).exp())
    file["votes"] = votes.numpy().astype(np.float32)

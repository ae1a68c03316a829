"""Writes finetune.h5: timm's mixup, CutMix and label smoothing of pairs of images, the loss and its gradient, and the
arguments that timm gives RandAugment's operations.

    python make_finetune_fixtures.py
"""

import random
from pathlib import Path

import h5py
import numpy as np
import torch

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ["nms", "qnms"]:
        operators.define(f"{name}(Tensor x) -> Tensor")

from timm.data import auto_augment, mixup  # noqa: E402
from timm.loss import SoftTargetCrossEntropy  # noqa: E402

torch.manual_seed(0)
np.random.seed(0)
classes = 7
kinds = ["auto_contrast", "equalize", "invert", "rotate", "posterize", "solarize", "solarize_add", "color", "contrast",
         "brightness", "sharpness", "shear_x", "shear_y", "translate_x", "translate_y"]

with h5py.File(Path(__file__).parent / "finetune.h5", "w") as file:
    # Pairs of two, each mixed on its own: mixup twice, CutMix twice, once at the edge.
    for number, (share, cut) in enumerate([(0.83, False), (0.2, False), (0.6, True), (0.1, True)]):
        mixing = mixup.Mixup(mode="pair", label_smoothing=0.1, num_classes=classes)
        mixing._params_per_elem = lambda count: (np.array([share], np.float32), np.array([cut]))
        boxes = []
        original = mixup.cutmix_bbox_and_lam

        def record(*arguments, **settings):
            result = original(*arguments, **settings)
            boxes.append(result[0])
            return result

        mixup.cutmix_bbox_and_lam = record
        images = torch.randn(2, 3, 9, 9)
        labels = torch.randint(0, classes, (2,))
        mixed, targets = mixing(images.clone(), labels)
        mixup.cutmix_bbox_and_lam = original
        logits = torch.randn(2, classes, requires_grad=True)
        loss = SoftTargetCrossEntropy()(logits, targets)
        loss.backward()
        group = file.create_group(f"mixing/{number}")
        group["images"] = images.permute(0, 2, 3, 1).numpy()
        group["mixed"] = mixed.permute(0, 2, 3, 1).numpy()
        group["labels"] = labels.numpy().astype(np.int32)
        group["share"] = np.array([share], np.float32)
        # Top, bottom, left, right.
        group["box"] = np.array(boxes[0] if boxes else [], np.int32)
        group["targets"] = targets.float().numpy()
        group["logits"] = logits.detach().numpy()
        group["loss"] = np.array([loss.item()], np.float32)
        group["dlogits"] = logits.grad.numpy()

    for policy, names in [("inc1", auto_augment._RAND_INCREASING_TRANSFORMS), ("inc0", auto_augment._RAND_TRANSFORMS)]:
        for kind, name in zip(kinds, names):
            function = auto_augment.LEVEL_TO_ARG[name]
            rows = []
            for magnitude in [0.0, 3.3, 8.6, 10.0]:
                for draw in [0.2, 0.9]:  # timm negates above one half
                    random.random = lambda: draw
                    argument = function(magnitude, {})[0] if function else 0
                    rows.append([magnitude, draw > 0.5, argument])
            file[f"{policy}/{kind}"] = np.array(rows, np.float32)

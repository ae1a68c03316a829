"""Writes vgg16_full.h5: features of torchvision's VGG-16 at full width after its five stages, perceptual losses on them and
their gradients with respect to the images, in float64. Images are 40 x 36 in [-1, 1], channels last: of 9 columns the
third pooling leaves out one, of 5 rows the fourth.

The 15 million weights are not stored: both sides compute them from a hash of the parameter's and the element's number. Of the
features of the first stages, which are large, every so many are kept.

    python make_vgg_fixtures.py
"""

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from hashed import uniform

# torchvision wants operators of its compiled part, which need not be there.
try:
    import torchvision  # noqa: F401
except RuntimeError:
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor x) -> Tensor")
    library.define("qnms(Tensor x) -> Tensor")
from torchvision.models.vgg import cfgs, make_layers  # noqa: E402

network = make_layers(cfgs["D"], batch_norm=False).double().requires_grad_(False)
for number, (name, p) in enumerate(network.named_parameters()):
    u = uniform(number, p.numel()).reshape(p.shape) - np.float32(0.5)
    factor = np.float32(2 * np.sqrt(6 / np.prod(p.shape[1:])) if p.ndim == 4 else 1)
    p.copy_(torch.from_numpy((u * factor).astype(np.float64)))

mean = torch.tensor([0.485, 0.456, 0.406]).double()[:, None, None]
deviation = torch.tensor([0.229, 0.224, 0.225]).double()[:, None, None]


def features(x):
    h, result = ((x + 1) / 2 - mean) / deviation, []
    for index, layer in enumerate(network):
        h = layer(h)
        if index in (3, 8, 15, 22, 29):
            result.append(h)
    return result


def distance_from_kinks(x):
    """How far values that are rectified are from 0 and the two greatest of a pooling's four from each other, at the least, in
    standard deviations of their layer."""
    h, result = ((x + 1) / 2 - mean) / deviation, []
    for layer in network:
        if isinstance(layer, torch.nn.ReLU):
            result.append(h.abs().min() / h.std())
        if isinstance(layer, torch.nn.MaxPool2d):
            first, second = F.unfold(h.flatten(0, 1)[:, None], 2, stride=2).topk(2, dim=1).values.unbind(1)
            result.append((first - second)[first > 0].min() / h.std())
        h = layer(h.clone())  # which is rectified in place
    return min(result).item()


def mean_squared(x, y):
    return sum(((a - b) ** 2).mean() for a, b in zip(features(x), features(y)))


def unit_channels(x, y):
    unit = [[h / (h.norm(dim=1, keepdim=True) + 1e-10) for h in features(z)] for z in (x, y)]
    return sum(((a - b) ** 2).sum(1).mean() for a, b in zip(*unit))


# The gradient jumps where float32 takes the other side of a kink; of the first 400 seeds this one's images stay farthest away.
torch.manual_seed(267)
images, target = (((torch.rand(2, 3, 40, 36) * 2 - 1) * 0.9).float().double() for _ in range(2))
assert distance_from_kinks(images) > 5e-6
with h5py.File(Path(__file__).with_name("vgg16_full.h5"), "w") as out:

    def store(name, value):
        value = value.detach()
        value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
        out.create_dataset(name, data=value.numpy().astype(np.float32), **(
            {"compression": "gzip", "shuffle": True} if value.ndim else {}))

    store("images", images)
    store("target", target)
    for depth, (h, every) in enumerate(zip(features(images), [31, 15, 7, 3, 1])):
        store(f"features/{depth}", h.permute(0, 2, 3, 1).flatten()[::every])
    for loss in [mean_squared, unit_channels]:
        x = images.clone().requires_grad_()
        value = loss(x, target)
        value.backward()
        store(f"loss/{loss.__name__}/value", value)
        store(f"loss/{loss.__name__}/gradient", x.grad)

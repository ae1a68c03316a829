"""A pretraining step of ViT in PyTorch: forward, cross-entropy on masked patches, backward, clipping, AdamW.

    python pretrain.py --problem FILE --write --batch 16     # makes the problem
    python pretrain.py --problem FILE --model plain          # the first loss, then timed steps

Started once a rank with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT set, it is data-parallel over gloo.
"""

import argparse

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks

import measure
import problem
import vit


def write_problem(path, size, batch):
    torch.manual_seed(batch)
    model = vit.MaskedImageModel(size, drop_path=0)
    problem.randomize(model, seed=20240608)
    patches = vit.GRID * vit.GRID
    images = torch.randn(batch, 224, 224, 3)
    masked = torch.cat([b * patches + torch.randperm(patches)[:vit.MASKED].sort().values for b in range(batch)])
    tokens = torch.randint(vit.ENTRIES, masked.shape)
    with torch.no_grad():
        loss = F.cross_entropy(model.eval()(images, masked), tokens).item()
    problem.write(path, model, loss, images=images, masked=masked.int(), tokens=tokens.int())
    print(f"{path}: ViT-{size}, batch {batch}, first loss {loss:.7f}")


def optimizer(model):
    """AdamW by one fused kernel; no weight decay on biases, norms, layer scale, tokens and the table of biases."""
    decayed = [p for n, p in model.named_parameters() if p.ndim > 1 and "token" not in n and "position" not in n]
    rest = [p for n, p in model.named_parameters() if not (p.ndim > 1 and "token" not in n and "position" not in n)]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=5e-4, betas=(0.9, 0.999), eps=1e-8, fused=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--size", default="base", choices=vit.SIZES)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--model", default="plain", choices=vit.MODELS)
    parser.add_argument("--compress", action="store_true", help="gradients travel in bfloat16")
    measure.add_precision(parser)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    measure.use_threads(arguments.threads)
    if arguments.write:
        return write_problem(arguments.problem, arguments.size, arguments.batch)

    ranks = measure.environment_int("WORLD_SIZE", 1)
    if ranks > 1:
        dist.init_process_group("gloo")
    state, inputs = problem.read(arguments.problem)
    images = measure.images_for(arguments, inputs["images"])
    masked, tokens = inputs["masked"].long(), inputs["tokens"].long()
    model = vit.MODELS[arguments.model](arguments.size, 0.1)
    model.load_state_dict(state)
    del state, inputs
    replica = model = measure.prepared(model, arguments)

    def loss_of(model):
        with measure.autocast(arguments):
            return F.cross_entropy(model(images, masked), tokens)

    with torch.no_grad():
        loss = loss_of(model.eval()).item()

    torch.manual_seed(measure.environment_int("RANK", 0))
    model.train()
    adam = optimizer(model)
    if ranks > 1:
        replica = torch.nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True, static_graph=True)
        if arguments.compress:
            replica.register_comm_hook(None, default_hooks.bf16_compress_hook)

    def step():
        adam.zero_grad(set_to_none=ranks == 1)
        loss_of(replica).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 3.0, foreach=True)
        adam.step()

    seconds = measure.timed(step, arguments.warmup, arguments.steps)
    memory = torch.tensor(measure.peak_memory())
    if ranks > 1:
        dist.all_reduce(memory, dist.ReduceOp.MAX)
    batch = images.shape[0]
    if measure.environment_int("RANK", 0) == 0:
        with torch.device("meta"):
            counted = vit.MaskedImageModel(arguments.size, explicit=True)
            operations = 3 * measure.forward_operations(
                counted.eval(), torch.empty(1, 224, 224, 3), torch.empty(vit.MASKED, dtype=torch.long))
        measure.report(
            "pretrain", batch=batch * ranks, seconds=seconds, threads=arguments.threads, ranks=ranks,
            operations=operations, loss=loss, peak_memory_bytes=int(memory), model=arguments.model)
    if ranks > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()

"""A training step of the tokenizer in PyTorch (forward, loss, backward, Adam, the codebook's averages), or encoding.

    python tokenizer.py --problem FILE --write --width 64 --batch 4          # makes the problem
    python tokenizer.py --problem FILE --width 64 --layout channels-last     # the first loss, then timed steps
    python tokenizer.py --problem FILE --width 64 --encode
"""

import argparse

import torch

import measure
import problem
import vqvae


def write_problem(path, width, batch):
    torch.manual_seed(batch)
    model = vqvae.VQVAE(width)
    problem.randomize(model, seed=20240609)
    model.quantize.embedding.normal_()
    images = torch.rand(batch, 224, 224, 3) * 2 - 1
    with torch.no_grad():
        loss = model.eval()(images.permute(0, 3, 1, 2).contiguous()).item()
    problem.write(path, model, loss, images=images)
    print(f"{path}: tokenizer of width {width}, batch {batch}, first loss {loss:.7f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--problem", required=True)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--encode", action="store_true")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--layout", default="channels-last", choices=["channels-last", "default"])
    measure.add_precision(parser)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    measure.use_threads(arguments.threads)
    if arguments.write:
        return write_problem(arguments.problem, arguments.width, arguments.batch)

    layout = torch.channels_last if arguments.layout == "channels-last" else torch.contiguous_format
    state, inputs = problem.read(arguments.problem)
    images = measure.images_for(arguments, inputs["images"].permute(0, 3, 1, 2).contiguous(memory_format=layout))
    model = vqvae.VQVAE(arguments.width)
    model.load_state_dict(state)
    model = measure.prepared(model.to(memory_format=layout), arguments)
    with torch.no_grad(), measure.autocast(arguments):
        loss = model.eval()(images).item()

    if arguments.encode:

        @torch.inference_mode()
        def step():
            with measure.autocast(arguments):
                model.quantize.nearest(model.encode(images))

    else:
        model.train()
        adam = torch.optim.Adam(model.parameters(), lr=5e-5, betas=(0.5, 0.95), fused=True)

        def step():
            adam.zero_grad()
            with measure.autocast(arguments):
                loss = model(images)
            loss.backward()
            adam.step()

    seconds = measure.timed(step, arguments.warmup, arguments.steps)
    with torch.device("meta"):
        counted = vqvae.VQVAE(arguments.width).eval()
        one = torch.empty(1, 3, 224, 224)
        operations = measure.forward_operations(counted.encoder if arguments.encode else counted, one)
    measure.report(
        "tokenizer", batch=images.shape[0], seconds=seconds, threads=arguments.threads, loss=loss,
        operations=operations * (1 if arguments.encode else 3), model=arguments.layout)


if __name__ == "__main__":
    main()

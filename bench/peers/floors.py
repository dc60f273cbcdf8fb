#!/usr/bin/env python3
"""Times that no implementation of a step can be much faster than: operations over the rate of the matrix units, plus
bytes of parameters over the rate of a copy. Rates are to be measured on the GPU in question (--measure). step_bench
prints the same floor of its own batches.

  floors.py --tflops 700 --tb-per-s 4.3
  floors.py --measure            a large bf16 product and a large copy, then the floors by them
"""
import argparse
import json

from weights import SIZES


def gemm_flops(tokens, targets, vocabulary, layers, hidden, intermediate, **_):
    """Forward and backward (twice as much) of all matrix products but the attention's own, of one step."""
    layer = 2 * tokens * (4 * hidden * hidden + 2 * hidden * intermediate)
    head = 2 * targets * (hidden * hidden + hidden * vocabulary)
    return 3 * (layers * layer + head)


def attention_flops(lengths, layers, hidden):
    """Q times K, and probabilities times V; backward five such products where forward has two."""
    return layers * 7 * 2 * hidden * sum(n * n for n in lengths)


def parameters(vocabulary, layers, hidden, intermediate, positions, **_):
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * intermediate + intermediate + hidden + 4 * hidden
    embedding = (vocabulary + positions + 2) * hidden + 2 * hidden
    return embedding + layers * layer + hidden * hidden + 3 * hidden + vocabulary


def adam_bytes(count):
    """Reads the master, both moments and the gradient, writes master and moments; in bf16 (2 + 2) the gradient is bf16
    and so is the weight, which is written as well; in fp32 (4 + 0) master and weight are one. The same number."""
    return count * (4 + 4 + 4 + 4 + 4 + 4 + 4)


def weight_bytes(count, bf16=True):
    """Weights read forward and again backward, gradients written."""
    return count * 3 * (2 if bf16 else 4)


def milliseconds(flops, moved, tflops, tb_per_s):
    return flops / tflops / 1e9 + moved / tb_per_s / 1e9


def floor_of(batches, vocabulary, shape, tflops, tb_per_s, bf16=True):
    """The mean over batches as batches.py has them."""
    flops = 0
    for tokens, targets in batches:
        lengths = (tokens != 0).sum(1)
        flops += gemm_flops(int(lengths.sum()), int((targets != 0).sum()), vocabulary, **shape)
        flops += attention_flops([int(n) for n in lengths], shape["layers"], shape["hidden"])
    count = parameters(vocabulary, **shape)
    return milliseconds(flops / len(batches), adam_bytes(count) + weight_bytes(count, bf16), tflops, tb_per_s)


def measured():
    """Rates of products in TFLOP/s by precision, and of a copy in TB/s (read plus written), each the median of timed
    repetitions."""
    import torch

    def median(work, repeat=20):
        for _ in range(3):
            work()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(repeat + 1)]
        events[0].record()
        for event in events[1:]:
            work()
            event.record()
        torch.cuda.synchronize()
        return sorted(a.elapsed_time(b) for a, b in zip(events, events[1:]))[repeat // 2]

    n, size = 8192, min(4 << 30, torch.cuda.mem_get_info()[0] // 4)
    rates = {}
    for precision, dtype, kind in (("bf16", torch.bfloat16, "high"), ("tf32", torch.float32, "high"), ("fp32", torch.float32, "highest")):
        torch.set_float32_matmul_precision(kind)
        a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
        rates[precision] = 2 * n**3 / median(lambda: torch.mm(a, b)) / 1e9
    source = torch.randint(255, (size,), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = median(lambda: target.copy_(source))
    return rates, 2 * size / copy / 1e9, torch.cuda.get_device_name()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--tokens", type=int, default=992, help="of a batch")
    parser.add_argument("--targets", type=int, default=166)
    parser.add_argument("--vocabulary", type=int, default=6413)
    parser.add_argument("--pairs", type=int, default=64, help="for the attention, of equal length")
    parser.add_argument("--tflops", type=float, help="bf16 rate of the matrix units")
    parser.add_argument("--tb-per-s", type=float, help="rate of a copy, bytes read plus bytes written")
    parser.add_argument("--measure", action="store_true", help="measure both rates on this GPU")
    parser.add_argument("--json", action="store_true", help="with --measure: print one line of JSON instead")
    a = parser.parse_args()
    if a.json:
        rates, tb_per_s, name = measured()
        return print(json.dumps({"device": name, "tflops": rates, "tb_per_s": tb_per_s}))
    shape = SIZES[a.size]
    gemm = gemm_flops(a.tokens, a.targets, a.vocabulary, **shape)
    attention = attention_flops([a.tokens / a.pairs] * a.pairs, shape["layers"], shape["hidden"])
    count = parameters(a.vocabulary, **shape)
    adam, moved = adam_bytes(count), weight_bytes(count)
    print(f"{a.size}: {a.tokens} tokens, {a.targets} targets, {count / 1e6:.2f} M parameters")
    print(f"GEMM {gemm / 1e9:.1f} GFLOP, attention {attention / 1e9:.2f} GFLOP, Adam {adam / 1e9:.3f} GB, weights {moved / 1e9:.3f} GB")
    if a.measure:
        rates, a.tb_per_s, name = measured()
        a.tflops = rates["bf16"]
        print(f"{name}: product {a.tflops:.0f} TFLOP/s, copy {a.tb_per_s:.2f} TB/s; tf32 {rates['tf32']:.1f}, fp32 {rates['fp32']:.1f} TFLOP/s")
    if a.tflops and a.tb_per_s:
        rows = {"GEMM": (gemm, 0), "attention": (attention, 0), "Adam": (0, adam), "weights": (0, moved)}
        parts = {name: milliseconds(*row, a.tflops, a.tb_per_s) for name, row in rows.items()}
        print(", ".join(f"{name} {ms:.2f} ms" for name, ms in parts.items()) + f"; together {sum(parts.values()):.2f} ms")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times that no implementation of a step can be much faster than: operations over the rate of the matrix units, plus
bytes of parameters over the rate of a copy. Rates are to be measured on the GPU in question (--measure).

  floors.py --tflops 700 --tb-per-s 4.3
  floors.py --measure            a large bf16 product and a large copy, then the floors by them
"""
import argparse

from weights import SIZES, padded


def gemm_flops(tokens, targets, vocabulary, layers, hidden, intermediate, **_):
    """Forward and backward (twice as much) of all matrix products but the attention's own, of one step."""
    layer = 2 * tokens * (4 * hidden * hidden + 2 * hidden * intermediate)
    head = 2 * targets * (hidden * hidden + hidden * padded(vocabulary))
    return 3 * (layers * layer + head)


def attention_flops(lengths, layers, hidden):
    """Q times K, and probabilities times V; backward five such products where forward has two."""
    return layers * 7 * 2 * hidden * sum(n * n for n in lengths)


def parameters(vocabulary, layers, hidden, intermediate, positions, **_):
    layer = 4 * (hidden * hidden + hidden) + 2 * hidden * intermediate + intermediate + hidden + 4 * hidden
    embedding = (padded(vocabulary) + positions + 2) * hidden + 2 * hidden
    return embedding + layers * layer + hidden * hidden + 3 * hidden + padded(vocabulary)


def adam_bytes(count):
    """Reads the master, both moments and a bf16 gradient, writes master, moments and the bf16 weight."""
    return count * (4 + 4 + 4 + 2 + 4 + 4 + 4 + 2)


def weight_bytes(count):
    """bf16 weights read forward and again backward, bf16 gradients written."""
    return count * (2 + 2 + 2)


def measured():
    """Product rate in TFLOP/s and copy rate in TB/s (read plus written), each the median of timed repetitions."""
    import torch

    def milliseconds(work, repeat=20):
        for _ in range(3):
            work()
        events = [torch.cuda.Event(enable_timing=True) for _ in range(repeat + 1)]
        events[0].record()
        for event in events[1:]:
            work()
            event.record()
        torch.cuda.synchronize()
        return sorted(a.elapsed_time(b) for a, b in zip(events, events[1:]))[repeat // 2]

    n, size = 8192, 4 << 30
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = milliseconds(lambda: torch.mm(a, b))
    source = torch.randint(255, (size,), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = milliseconds(lambda: target.copy_(source))
    return 2 * n**3 / product / 1e9, 2 * size / copy / 1e9, torch.cuda.get_device_name()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base", choices=SIZES)
    parser.add_argument("--tokens", type=int, default=992, help="of a batch")
    parser.add_argument("--targets", type=int, default=166)
    parser.add_argument("--vocabulary", type=int, default=6413)
    parser.add_argument("--pairs", type=int, default=64, help="for the attention, of equal length")
    parser.add_argument("--tflops", type=float, help="bf16 rate of the matrix units")
    parser.add_argument("--tb-per-s", type=float, help="rate of a copy, bytes read plus bytes written")
    parser.add_argument("--measure", action="store_true", help="both rates, on this GPU")
    a = parser.parse_args()
    shape = SIZES[a.size]
    gemm = gemm_flops(a.tokens, a.targets, a.vocabulary, **shape)
    attention = attention_flops([a.tokens / a.pairs] * a.pairs, shape["layers"], shape["hidden"])
    count = parameters(a.vocabulary, **shape)
    adam, moved = adam_bytes(count), weight_bytes(count)
    print(f"{a.size}: {a.tokens} tokens, {a.targets} targets, {count / 1e6:.2f} M parameters")
    print(f"GEMM {gemm / 1e9:.1f} GFLOP, attention {attention / 1e9:.2f} GFLOP, Adam {adam / 1e9:.3f} GB, weights {moved / 1e9:.3f} GB")
    if a.measure:
        a.tflops, a.tb_per_s, name = measured()
        print(f"{name}: product {a.tflops:.0f} TFLOP/s, copy {a.tb_per_s:.2f} TB/s")
    if a.tflops and a.tb_per_s:
        parts = {"GEMM": gemm / a.tflops / 1e9, "Adam": adam / a.tb_per_s / 1e9, "weights": moved / a.tb_per_s / 1e9}
        print(", ".join(f"{name} {ms:.2f} ms" for name, ms in parts.items()) + f"; together {sum(parts.values()):.2f} ms")


if __name__ == "__main__":
    main()

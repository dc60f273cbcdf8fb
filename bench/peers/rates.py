#!/usr/bin/env python3
"""Measures what a GPU reaches: large GEMMs in bf16, tf32 and fp32, and a large copy, read plus written bytes.

  rates.py           one line of text
  rates.py --json    one line of JSON

A step's lower bound is its GEMM operations over the first rate, plus the bytes of its parameters over the
second (docs/benchmarks.md). step_bench counts both for its own batches; bench/tables.py divides.
"""
import argparse
import json


def median_ms(work, repeat=20):
    import torch

    for _ in range(3):
        work()
    events = [torch.cuda.Event(enable_timing=True) for _ in range(repeat + 1)]
    events[0].record()
    for event in events[1:]:
        work()
        event.record()
    torch.cuda.synchronize()
    return sorted(a.elapsed_time(b) for a, b in zip(events, events[1:]))[repeat // 2]


def measured():
    import torch

    n, size = 8192, min(4 << 30, torch.cuda.mem_get_info()[0] // 4)
    tflops = {}
    for precision, dtype, kind in (("bf16", torch.bfloat16, "high"), ("tf32", torch.float32, "high"),
                                   ("fp32", torch.float32, "highest")):
        torch.set_float32_matmul_precision(kind)
        a, b = (torch.randn(n, n, device="cuda", dtype=dtype) for _ in range(2))
        tflops[precision] = 2 * n**3 / median_ms(lambda: torch.mm(a, b)) / 1e9
    source = torch.randint(255, (size,), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    copy = median_ms(lambda: target.copy_(source))
    return {"device": torch.cuda.get_device_name(), "tflops": tflops, "tb_per_s": 2 * size / copy / 1e9}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    rates = measured()
    gemm = ", ".join(f"{precision} {rate:.1f}" for precision, rate in rates["tflops"].items())
    line = f"{rates['device']}: GEMM {gemm} TFLOP/s, copy {rates['tb_per_s']:.2f} TB/s"
    print(json.dumps(rates) if arguments.json else line)


if __name__ == "__main__":
    main()

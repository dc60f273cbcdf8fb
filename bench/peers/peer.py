#!/usr/bin/env python3
"""One PyTorch peer trains BERT on given batches; prints one line of JSON with its time per step.

  batches.py --output batches.npz
  peer.py --peer packed --mode compile+graph --size base --batches batches.npz

packed        hand-written BERT over packed tokens (model.py), attention by flash varlen or on a small grid
padded        the same model over [sequences, length] with a mask
transformers  BertForMaskedLM as users run it: sdpa, autocast, a label at every position
warpbert      only --losses, by our program `inspect` of --bin, from the weights that the other peers draw

A step copies the batch from pinned memory, then runs forward, backward and Adam. A CUDA event follows each
step.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time

import numpy as np
import torch

import batches as data
import layout
import weights as files
from model import Bert
from optimiser import FlatAdam, FusedAdam

MODES = ["eager", "compile", "graph", "compile+graph"]


class HandWritten:
    """packed and padded. bf16 weights with fp32 master weights, or fp32 throughout."""

    def __init__(self, a, loaded, shape, device):
        self.kind = a.attention if a.peer == "packed" else "direct"
        loaded = files.pad_vocabulary(loaded)
        self.bert = Bert(len(loaded[files.WORDS]), **shape, dropout=a.dropout)
        self.bert.load(files.tensors(loaded))
        self.bert.to(device)
        # Compiled mode fuses our own update into one kernel; otherwise torch.optim.Adam(fused=True).
        update = compiler(a) if "compile" in a.mode else None
        dtype = torch.bfloat16 if a.precision == "bf16" else torch.float32
        self.optimiser = FlatAdam(self.bert.parameters(), dtype, update, a.lr, a.gather)
        self.forward = compiler(a)(self.bert) if "compile" in a.mode else self.bert

    def loss(self, fields, shape):
        return self.forward(fields, shape, self.kind)

    def parameters(self, vocabulary):
        names = {id(p): n for p, n in self.bert.sources()}
        found = {}
        for p, master in zip(self.bert.parameters(), self.optimiser.master_weights()):
            wanted = names[id(p)]
            for name, part in zip(wanted, master.chunk(len(wanted))):
                found[name] = part[:vocabulary] if name in (files.WORDS, files.OUTPUT_BIAS) else part
        return found


class Transformers:
    """transformers' model, torch.optim.Adam(fused), autocast for bf16."""

    def __init__(self, a, loaded, shape, device):
        from transformers import BertConfig, BertForMaskedLM

        loaded = files.pad_vocabulary(loaded)
        config = BertConfig(
            vocab_size=len(loaded[files.WORDS]), num_hidden_layers=shape["layers"],
            hidden_size=shape["hidden"], num_attention_heads=shape["heads"],
            intermediate_size=shape["intermediate"], layer_norm_eps=1e-12,
            max_position_embeddings=shape["positions"], hidden_dropout_prob=a.dropout,
            attention_probs_dropout_prob=0.0, hidden_act="gelu", attn_implementation="sdpa",
        )  # fmt: skip
        self.bert = BertForMaskedLM(config)
        left = self.bert.load_state_dict(files.tensors(loaded), strict=False)
        known = all("decoder" in key or "_ids" in key for key in left.missing_keys)
        assert not left.unexpected_keys and known, left
        self.bert.to(device).train()
        self.optimiser = FusedAdam(self.bert.parameters(), a.lr)
        self.forward = compiler(a)(self.bert) if "compile" in a.mode else self.bert
        self.autocast = lambda: torch.autocast(device.type, torch.bfloat16, enabled=a.precision == "bf16")
        # With a [B, T] mask, transformers synchronizes to test if any is set; stream capture forbids that.
        self.prepared_mask = "graph" in a.mode

    def loss(self, fields, shape):
        mask = fields["ids"] != 0
        if self.prepared_mask:
            mask = mask[:, None, None, :].expand(-1, 1, shape.length, -1)
        with self.autocast():
            return self.forward(input_ids=fields["ids"], attention_mask=mask, labels=fields["labels"]).loss

    def parameters(self, vocabulary):
        return {
            name: p.detach()[:vocabulary] if name in (files.WORDS, files.OUTPUT_BIAS) else p.detach()
            for name, p in self.bert.named_parameters()
            if not name.startswith("cls.predictions.decoder")
        }


def compiler(a):
    mode = "max-autotune-no-cudagraphs" if a.autotune else None  # the whole step is captured instead
    return lambda f: torch.compile(f, mode=mode, dynamic=False, fullgraph=True)


class Slot:
    """A shape's buffer on the device and, after capture, its graph."""

    def __init__(self, fields, device):
        self.buffer = torch.zeros(fields.bytes, dtype=torch.uint8, device=device)
        self.fields, self.graph = fields.views(self.buffer), None


class TrainStep:
    def __init__(self, peer, mode, shaped, device):
        self.peer, self.device = peer, device
        self.capture = "graph" in mode and device.type == "cuda"  # CPU: static shapes, no graph
        self.pool = torch.cuda.graph_pool_handle() if self.capture else None
        self.slots, self.batches = {}, []
        self.last = torch.zeros((), device=device)
        for shape, arrays in shaped:
            fields = layout.Fields(arrays)
            host = torch.zeros(fields.bytes, dtype=torch.uint8, pin_memory=device.type == "cuda")
            fields.fill(host, arrays)
            if shape not in self.slots:
                self.slots[shape] = Slot(fields, device)
            self.batches.append((shape, host))

    def prepare(self):
        """Compiles and captures every shape, then restores the weights."""
        saved = [x.to("cpu", copy=True) for x in self.peer.optimiser.state()]
        for shape, slot in self.slots.items():
            slot.buffer.copy_(next(host for s, host in self.batches if s == shape))
            if self.capture:
                self._capture(shape, slot)
            else:
                self._step(shape, slot)
        for x, value in zip(self.peer.optimiser.state(), saved):
            x.detach().copy_(value)

    def _capture(self, shape, slot):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._step(shape, slot)
        torch.cuda.current_stream().wait_stream(stream)
        self.peer.bert.zero_grad(set_to_none=True)
        slot.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(slot.graph, pool=self.pool):
            self._step(shape, slot)

    def _step(self, shape, slot):
        self.peer.bert.zero_grad(set_to_none=True)
        loss = self.peer.loss(slot.fields, shape)
        loss.backward()
        self.peer.optimiser.step()
        self.last.copy_(loss.detach())

    def step(self, k):
        shape, host = self.batches[k % len(self.batches)]
        slot = self.slots[shape]
        slot.buffer.copy_(host, non_blocking=True)
        slot.graph.replay() if slot.graph else self._step(shape, slot)


def shaped_batches(a, batches):
    if a.peer == "packed":
        return layout.packed(batches, a.token_bucket or layout.token_capacity)
    if a.peer == "padded":
        return layout.padded(batches, a.length_bucket)
    # Eager users pad to the longest row, at most to a multiple of 8; fewer shapes gain nothing.
    return layout.transformers(batches, a.length_bucket)


def times(train_step, steps, warmup):
    """Milliseconds of each step."""
    for k in range(warmup):
        train_step.step(k)
    if train_step.device.type != "cuda":
        clock = [time.perf_counter()]
        for k in range(steps):
            train_step.step(k)
            clock.append(time.perf_counter())
        return [1e3 * (b - a) for a, b in zip(clock, clock[1:])]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
    torch.cuda.synchronize()
    events[0].record()
    for k in range(steps):
        train_step.step(k)
        events[k + 1].record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in zip(events, events[1:])]


def build(a, device):
    """The peer, its train step, the vocabulary's size and statistics of the batches."""
    vocabulary, batches = data.load(a.batches)
    if a.weights:
        loaded = files.load(a.weights)
        heads = a.heads or files.SIZES[a.size]["heads"]
        shape = files.shape_of(loaded, heads)
        vocabulary = len(loaded[files.WORDS])
    else:
        shape = dict(files.SIZES[a.size])
        loaded = files.random_weights(vocabulary, shape, a.seed)
    longest = max(tokens.shape[1] for tokens, _ in batches)
    if longest > shape["positions"]:
        positions = shape["positions"]
        sys.exit(f"peer: {a.batches} has rows of {longest} tokens; the model has {positions} positions")
    torch.manual_seed(a.seed)
    peer = (Transformers if a.peer == "transformers" else HandWritten)(a, loaded, shape, device)
    train_step = TrainStep(peer, a.mode, shaped_batches(a, batches), device)
    return peer, train_step, vocabulary, data.describe(batches)


def measure(a, device):
    began = time.perf_counter()
    peer, train_step, vocabulary, facts = build(a, device)
    mode = a.mode + (" autotune" if a.autotune else "")
    result = {"peer": a.peer, "mode": mode, "size": a.size, "precision": a.precision}
    if a.peer == "packed":
        result["attention"] = a.attention
    train_step.prepare()
    result["prepare_s"] = round(time.perf_counter() - began, 1)
    result |= {key: facts[key] for key in ("pairs", "tokens", "targets")} | {"dropout": a.dropout}
    result["shapes"] = [list(vars(s).values()) for s in train_step.slots]  # rows, sequences, length, targets
    losses = []
    for k in range(a.losses):  # from the initial weights; comparable between peers at dropout 0
        train_step.step(k)
        losses.append(train_step.last.item())
    result["losses"] = losses
    if a.steps:
        ms = times(train_step, a.steps, a.warmup)
        p10, median, p90 = np.percentile(ms, [10, 50, 90])
        result |= {"ms": median, "p10": p10, "p90": p90, "mean": float(np.mean(ms)), "steps": a.steps}
        result["pairs_s"] = 1e3 * facts["pairs"] / result["mean"]
    result["finite"] = bool(torch.isfinite(train_step.last)) and bool(np.isfinite(losses).all())
    on_gpu = device.type == "cuda"
    result["memory_MiB"] = torch.cuda.max_memory_reserved() >> 20 if on_gpu else None
    result |= {"torch": torch.__version__, "device": torch.cuda.get_device_name() if on_gpu else "CPU"}
    return result


def our_losses(a):
    """Losses of `inspect`, which has dropout off and needs a training file."""
    with tempfile.TemporaryDirectory() as folder:
        weights = files.random_weights(data.load(a.batches)[0], files.SIZES[a.size], a.seed)
        files.save(f"{folder}/weights.safetensors", weights)
        pairs = "".join(f"{100 + i} {101 + i}\t{102 + i}\t{i % 2}\n" for i in range(20))
        pathlib.Path(folder, "train.tsv").write_text(pairs)
        pathlib.Path(folder, "run.ini").write_text("[data]\ntrain = train.tsv\n")
        subprocess.run([
            f"{a.bin}/inspect", f"--config={folder}/run.ini", f"--batch={a.batches}", f"--steps={a.losses}",
            f"--output={folder}/out.npz", f"--model.weights={folder}/weights.safetensors",
            f"--train.lr={a.lr}", f"--model.heads={files.SIZES[a.size]['heads']}",
            f"--train.precision={a.precision}",
        ], check=True, stdout=subprocess.DEVNULL)
        losses = np.load(f"{folder}/out.npz")["losses"]
    return {"peer": a.peer, "losses": losses.tolist(), "finite": bool(np.isfinite(losses).all())}


def what_triton_lacks():
    """Names what is missing. Triton compiles its launchers in C at run time, and tells so deep in a long
    trace."""
    if not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
        return "Triton needs a C compiler at run time: no gcc or clang on PATH, and CC is not set"
    scheme = sysconfig.get_default_scheme()  # as in Triton: Debian's posix_local may lack the include folder
    include = sysconfig.get_paths("posix_prefix" if scheme == "posix_local" else scheme)["include"]
    if not os.path.exists(os.path.join(include, "Python.h")):
        return f"Triton needs Python.h at run time, which is not in {include}: package python3-dev"
    return ""


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", required=True, choices=["packed", "padded", "transformers", "warpbert"])
    parser.add_argument("--bin", help="for warpbert: the folder of our programs")
    parser.add_argument("--mode", default="eager", choices=MODES,
                        help="graph: a CUDA graph of the whole step")
    parser.add_argument("--autotune", action="store_true", help="compile with max-autotune, for minutes")
    parser.add_argument("--gather", action="store_true", help="compiled: Adam of gradients in a flat array")
    parser.add_argument("--attention", choices=["varlen", "grid"],
                        help="of packed; default on a GPU in bf16: varlen")
    parser.add_argument("--size", default="base", choices=files.SIZES)
    parser.add_argument("--precision", default="bf16", choices=["bf16", "fp32"])
    parser.add_argument("--batches", required=True, help="the .npz that batches.py wrote")
    parser.add_argument("--weights", help=".safetensors; default: random, from the seed")
    parser.add_argument("--heads", type=int, default=0, help="of --weights; default: the size's")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--lr", type=float, default=1e-5)
    parser.add_argument("--token-bucket", type=int, help="packed: multiple of rows; default: our buckets")
    parser.add_argument("--length-bucket", type=int, default=8,
                        help="padded, transformers: multiple of lengths")
    parser.add_argument("--warmup", type=int, default=64, help="steps before those that are timed")
    parser.add_argument("--steps", type=int, default=256, help="steps timed; 0: none")
    parser.add_argument("--losses", type=int, default=0, help="print the losses of the first N steps")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args(argv)
    flash = torch.cuda.is_available() and a.precision == "bf16"
    a.attention = a.attention or ("varlen" if flash else "grid")
    if torch.cuda.is_available() and "compile" in a.mode and (missing := what_triton_lacks()):
        parser.error(missing)
    if a.attention == "varlen" and a.peer == "packed" and not flash:
        parser.error("--attention varlen: flash attention needs a GPU and bf16")
    return a


def main():
    a = arguments()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("recompile_limit", "cache_size_limit"):  # one per shape; name varies by version
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, 64)
    result = our_losses(a) if a.peer == "warpbert" else measure(a, device)
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}
    print(json.dumps(rounded), flush=True)


if __name__ == "__main__":
    main()

"""The PyTorch peers of bench/peers match our training step: same losses and same parameters after Adam steps.

peers_test.py BIN_DIR [unittest arguments]          needs torch, transformers, numpy, safetensors
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F

BIN = pathlib.Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench/peers"))
import batches as data  # noqa: E402
import layout  # noqa: E402
import peer as peers  # noqa: E402
import weights as files  # noqa: E402
from optimiser import FlatAdam  # noqa: E402

SHAPE = dict(layers=3, hidden=96, heads=3, intermediate=200, positions=40)
VOCABULARY, STEPS, LR = 300, 3, 1e-3  # parameters move by 50 tolerances
CPU = torch.device("cpu")


class Peers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.dir = pathlib.Path(cls.temporary.name)
        data.make(cls.dir / "batches.npz", count=STEPS, pairs=12, vocabulary=VOCABULARY)
        files.save(cls.dir / "model.safetensors", files.random_weights(VOCABULARY, SHAPE, vectors=0.1))

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def build(self, peer, *more):
        line = ["--peer", peer, "--precision", "fp32", "--dropout", "0", "--lr", str(LR), "--heads", "3"]
        line += ["--batches", str(self.dir / "batches.npz"),
                 "--weights", str(self.dir / "model.safetensors"), *more]
        peer, train_step, vocabulary, _ = peers.build(peers.arguments(line), CPU)
        self.assertEqual(vocabulary, VOCABULARY)
        return peer, train_step

    def train(self, *arguments):
        """Returns the losses of the steps and the final parameters by Hugging Face name."""
        peer, train_step = self.build(*arguments)
        train_step.prepare()
        losses = []
        for k in range(STEPS):
            train_step.step(k)
            losses.append(train_step.last.item())
        return losses, {name: p.float().numpy() for name, p in peer.parameters(VOCABULARY).items()}

    def ours(self):
        cls = type(self)
        if not hasattr(cls, "inspected"):
            rows = [f"{100 + i} {101 + i}\t{102 + i}\t{i % 2}" for i in range(20)]
            (self.dir / "train.tsv").write_text("\n".join(rows) + "\n")
            (self.dir / "run.ini").write_text("[data]\ntrain = train.tsv\n[model]\nheads = 3\n[train]\n"
                                              f"lr = {LR}\nprecision = fp32\n")
            options = {"config": "run.ini", "batch": "batches.npz", "output": "out.npz"}
            command = [BIN / "inspect", f"--steps={STEPS}",
                       f"--model.weights={self.dir / 'model.safetensors'}"]
            command += [f"--{key}={self.dir / value}" for key, value in options.items()]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            cls.inspected = dict(np.load(self.dir / "out.npz"))
        return cls.inspected

    def compare(self, *arguments):
        ours, (losses, parameters) = self.ours(), self.train(*arguments)
        loss = max(abs(a - b) / b for a, b in zip(losses, ours["losses"]))
        wanted = {name[6:]: value for name, value in ours.items() if name.startswith("param/")}
        self.assertEqual(set(parameters), set(wanted))
        # Key biases have gradient 0; Adam sees only rounding.
        differences = {n: np.abs(parameters[n] - wanted[n]).max() for n in wanted
                       if not n.endswith("key.bias")}
        worst = max(differences, key=differences.get)
        print(f"\n{' '.join(arguments)}: losses differ by {loss:.2g} relative, "
              f"parameters by {differences[worst]:.2g} ({worst})")
        # fp32 against fp32: different summation order, amplified by Adam's first steps of nearly lr *
        # sign(g).
        self.assertLess(loss, 1e-5)
        self.assertLess(differences[worst], 2e-5)

    def test_packed_equals_ours(self):
        self.compare("packed")

    def test_padded_equals_ours(self):
        self.compare("padded")

    def test_transformers_equals_ours(self):
        self.compare("transformers")

    def test_transformers_with_a_prepared_mask_equals_ours(self):
        self.compare("transformers", "--mode", "graph")

    def test_update_of_compiled_peers_equals_ours(self):
        with mock.patch.object(peers, "compiler", lambda a: lambda f: f):  # compiled functions run eagerly
            self.compare("packed", "--mode", "compile")

    def test_gathering_update_of_compiled_peers_equals_ours(self):
        with mock.patch.object(peers, "compiler", lambda a: lambda f: f):
            self.compare("packed", "--mode", "compile", "--gather")

    def test_updates_compile(self):
        torch.manual_seed(1)
        start = [torch.randn(n) for n in (8, 64, 40)]
        gradients = [[torch.randn_like(p) for p in start] for _ in range(3)]
        results = []
        for compiled, gather in ((torch.compile, False), (torch.compile, True), (lambda f: f, False)):
            parameters = [torch.nn.Parameter(p.clone()) for p in start]
            update = FlatAdam(parameters, torch.float32, compiled, 1e-2, gather)
            for step in gradients:
                for p, g in zip(parameters, step):
                    p.grad = g.clone()
                update.step()
            results.append(update.master.clone())
        for other in results[1:]:
            torch.testing.assert_close(results[0], other, rtol=0, atol=1e-6)  # float rounding near 1
        self.assertGreater(float((results[0] - torch.cat(start)).abs().max()), 1e-3)

    def test_both_updates_agree_in_bf16(self):
        with mock.patch.object(peers, "compiler", lambda a: lambda f: f):
            lists, flat = (self.train("packed", "--mode", "compile", "--precision", "bf16", *more)
                           for more in ([], ["--gather"]))
        np.testing.assert_allclose(lists[0], flat[0], rtol=1e-4)  # a few weights round differently

    def test_the_lower_bound_of_step_bench_is_the_formula_of_the_page(self):
        _, found = data.load(self.dir / "batches.npz")
        layers, hidden, inner, positions = 2, 128, 512, 512  # --size=tiny
        flops = []
        for tokens, targets in found:
            n = (tokens != 0).sum(1)
            gemm = layers * 2 * n.sum() * (4 * hidden**2 + 2 * hidden * inner)
            gemm += 2 * (targets != 0).sum() * (hidden**2 + hidden * VOCABULARY)
            flops.append(3 * gemm + 7 * layers * 2 * hidden * (n**2).sum())
        layer = 4 * (hidden**2 + hidden) + 2 * hidden * inner + inner + hidden + 4 * hidden
        parameters = ((VOCABULARY + positions + 2 + 2) * hidden + layers * layer + hidden**2 + 3 * hidden
                      + VOCABULARY)
        for precision, weights in (("fp32", 12), ("bf16", 6)):
            command = [BIN / "step_bench", "--size=tiny", f"--precision={precision}",
                       f"--vocabulary={VOCABULARY}", "--json", "--tflops=0.5", "--gbps=50",
                       f"--batches={self.dir / 'batches.npz'}", f"--steps={len(found)}", "--warmup=0"]
            ours = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            bound = 1e3 * (np.mean(flops) / 0.5e12 + (28 + weights) * parameters / 50e9)
            self.assertAlmostEqual(ours["bound_ms"] / bound, 1, places=9)

    def test_losses_of_the_peer_warpbert_are_those_of_inspect(self):
        def losses(peer):
            line = ["--peer", peer, "--size", "tiny", "--precision", "fp32", "--dropout", "0", "--lr", "1e-3"]
            line += ["--batches", str(self.dir / "batches.npz"), "--losses", "3", "--steps", "0",
                     "--bin", str(BIN)]
            options = peers.arguments(line)
            return peers.our_losses(options) if peer == "warpbert" else peers.measure(options, CPU)

        ours, theirs = losses("warpbert"), losses("padded")
        self.assertTrue(ours["finite"])
        np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=1e-5)
        self.assertGreater(abs(ours["losses"][0] - ours["losses"][2]), 1e-3)

    def test_a_missing_compiler_is_named(self):
        with mock.patch.dict("os.environ", {"PATH": "/nowhere", "CC": ""}):
            self.assertIn("no gcc or clang on PATH", peers.what_triton_lacks())

    def test_our_parameters_moved_far(self):
        ours, start = self.ours(), files.load(self.dir / "model.safetensors")
        moved = max(np.abs(ours["param/" + n] - start[n]).max() for n in start)
        self.assertGreater(moved, 50 * 2e-5)

    def test_padding_changes_nothing(self):
        close, far = (self.train("packed", "--token-bucket", bucket) for bucket in ("8", "512"))
        np.testing.assert_allclose(close[0], far[0], rtol=1e-6)
        for name in close[1]:
            if not name.endswith("key.bias"):
                np.testing.assert_allclose(close[1][name], far[1][name], atol=1e-5, err_msg=name)

    def test_bf16_keeps_master_weights_in_fp32(self):
        exact, _ = self.train("packed")
        for kind in ("packed", "padded", "transformers"):
            losses, parameters = self.train(kind, "--precision", "bf16")
            np.testing.assert_allclose(losses, exact, rtol=0.01)  # bf16: 0.4 % per rounding, averaged by sums
            master = torch.from_numpy(parameters["bert.encoder.layer.0.output.dense.weight"])
            self.assertFalse(torch.equal(master, master.bfloat16().float()))

    def test_dropout_has_the_recipes_sites(self):
        real = F.dropout
        for kind in ("packed", "padded", "transformers"):
            _, train_step = self.build(kind, "--dropout", "0.1")
            sites = []

            def counted(x, p=0.5, training=True, inplace=False):
                sites.append(p if training else 0)
                return real(x, p, training, inplace)

            with mock.patch.object(F, "dropout", counted):
                train_step.step(0)
            self.assertEqual([p for p in sites if p], [0.1] * (1 + 2 * SHAPE["layers"]), kind)

    def test_preparation_leaves_the_weights(self):
        peer, train_step = self.build("packed", "--precision", "bf16")
        before = [x.clone() for x in peer.optimiser.state()]
        train_step.prepare()
        for x, y in zip(before, peer.optimiser.state()):
            self.assertTrue(torch.equal(x, y))

    def test_batches_have_the_workloads_statistics(self):
        data.make(self.dir / "real.npz", count=64)
        vocabulary, found = data.load(self.dir / "real.npz")
        facts = data.describe(found)
        self.assertEqual((vocabulary, facts["pairs"], facts["batches"]), (6413, 64, 64))
        self.assertAlmostEqual(facts["mean"], 15.5, delta=0.2)
        self.assertAlmostEqual(facts["targets"], 166, delta=4)
        self.assertEqual(facts["p50, p90, p99, max"], [15, 21, 27, 35])
        data.make(self.dir / "again.npz", count=64)
        for (t, y), (t2, y2) in zip(found, data.load(self.dir / "again.npz")[1]):
            self.assertTrue((t == t2).all() and (y == y2).all())

    def test_packed_layout(self):
        _, found = data.load(self.dir / "batches.npz")
        for (tokens, targets), (shape, fields) in zip(found, layout.packed(found, 128)):
            n = (tokens != 0).sum()
            self.assertTrue((fields["ids"][:n] == tokens[tokens != 0]).all())
            self.assertEqual((shape.rows % 128, fields["starts"][-1]), (0, shape.rows))  # incl. padding rows
            self.assertEqual(fields["starts"][len(tokens)], n)
            self.assertLessEqual(np.diff(fields["starts"]).max(), shape.length)
            self.assertTrue((fields["to_grid"][fields["to_packed"]] == np.arange(shape.rows)).all())
            wanted = fields["labels"] != layout.IGNORED
            self.assertTrue((fields["labels"][wanted] == targets[targets != 0]).all())

    def test_capacities_are_those_of_our_step(self):
        # Same values as in tests/train/data/batch_test.cpp.
        tokens = [layout.token_capacity(n) for n in (1, 16, 17, 128, 129, 992, 2048, 2049, 4096, 4097, 16384)]
        self.assertEqual(tokens, [16, 16, 32, 128, 256, 1024, 2048, 2304, 4096, 4608, 16384])
        self.assertEqual([layout.target_capacity(n) for n in (0, 1, 16, 17, 64, 65, 166)],
                         [16, 16, 16, 32, 64, 128, 192])
        _, fields = next(layout.packed([(np.full((2, 9), 7), np.eye(2, 9, dtype=np.int32))]))
        self.assertEqual((len(fields["ids"]), len(fields["labels"])), (32, 16))

    def test_targets_have_our_buckets_batch_by_batch(self):
        batch = lambda targets: (np.full((8, 40), 7, np.int32),
                                 (np.arange(320).reshape(8, 40) < targets).astype(np.int32))
        for layouts in (layout.packed, layout.padded):
            shapes = [shape.targets
                      for shape, _ in layouts([batch(167)] * 30 + [batch(100)] + [batch(193)] * 9)]
            self.assertEqual(shapes, [192] * 31 + [256] * 9, layouts)  # 1 of 40 is rare, joins the next

    def test_rare_buckets_join_larger_ones(self):
        self.assertEqual(layout.capacities([900] * 50 + [1100] * 49 + [100], 128),
                         [1024] * 50 + [1152] * 49 + [1024])
        self.assertEqual(layout.capacities([1, 9, 9, 9], 8), [8, 16, 16, 16])
        self.assertEqual(layout.capacities([9] * 99 + [17], 8), [16] * 99 + [24])


if __name__ == "__main__":
    unittest.main()

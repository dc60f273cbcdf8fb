"""End-to-end tests of convert.py: files of the four families, damaged files, messages and exit codes.

tests/golden/tiny holds one synthetic model as a TensorFlow 1.15 checkpoint, two .safetensors files, and the
weights.hf.npz that conversion must reproduce bit for bit. UER files are made here by renaming.
"""
import importlib.util
import json
import os
import pathlib
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden/tiny"
CONVERT = ROOT / "io/convert"
sys.path.insert(0, str(CONVERT))
WEIGHTS = dict(np.load(GOLDEN / "weights.hf.npz"))
WORDS = "bert.embeddings.word_embeddings.weight"
POOLER = {"bert.pooler.dense.weight": np.ones((64, 64), "<f4"), "bert.pooler.dense.bias": np.ones(64, "<f4")}
HEAD = [name for name in WEIGHTS if name.startswith("cls.predictions.")]

needs_torch = unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed")

UER_MODULES = [
    ("attention.self.query", "self_attn.linear_layers.0"),
    ("attention.self.key", "self_attn.linear_layers.1"),
    ("attention.self.value", "self_attn.linear_layers.2"),
    ("attention.output.dense", "self_attn.final_linear"),
    ("attention.output.LayerNorm", "layer_norm_1"), ("intermediate.dense", "feed_forward.linear_1"),
    ("output.LayerNorm", "layer_norm_2"), ("output.dense", "feed_forward.linear_2")]


def bfloat16(values):
    """Upper 16 bits; exact for the golden weights."""
    return (values.view("<u4") >> 16).astype("<u2")


def save_safetensors(path, arrays):
    """Writes a .safetensors file; uint16 arrays hold bfloat16, unless given as ("U16", array)."""
    names = {"float32": "F32", "float16": "F16", "uint16": "BF16", "float64": "F64"}
    header, values = {}, b""
    for name, array in arrays.items():
        dtype, array = array if isinstance(array, tuple) else (names[array.dtype.name], array)
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": array.shape,
                        "data_offsets": [len(values), len(values) + len(raw)]}
        values += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)
    return path


def uer(weights):
    """The model under UER's names, with its third segment row and its copy of the word embedding."""
    result = {}
    for name, values in weights.items():
        if name.startswith("bert.encoder.layer."):
            number, rest = name.removeprefix("bert.encoder.layer.").split(".", 1)
            module, kind = rest.rsplit(".", 1)
            kind = {"weight": "gamma", "bias": "beta"}[kind] if module.endswith("LayerNorm") else kind
            result[f"encoder.transformer.{number}.{dict(UER_MODULES)[module]}.{kind}"] = values
    for ours, theirs in {
        WORDS: "embedding.word.embedding.weight",
        "bert.embeddings.position_embeddings.weight": "embedding.pos.embedding.weight",
        "bert.embeddings.LayerNorm.weight": "embedding.layer_norm.gamma",
        "bert.embeddings.LayerNorm.bias": "embedding.layer_norm.beta",
        "cls.predictions.transform.dense.weight": "target.mlm.linear_1.weight",
        "cls.predictions.transform.dense.bias": "target.mlm.linear_1.bias",
        "cls.predictions.transform.LayerNorm.weight": "target.mlm.layer_norm.gamma",
        "cls.predictions.transform.LayerNorm.bias": "target.mlm.layer_norm.beta",
        "cls.predictions.bias": "target.mlm.linear_2.bias",
    }.items():
        result[theirs] = weights[ours]
    segments = weights["bert.embeddings.token_type_embeddings.weight"]
    result["embedding.seg.embedding.weight"] = np.concatenate([np.full((1, 64), 9, "<f4"), segments])
    result["target.mlm.linear_2.weight"] = weights[WORDS].copy()
    result["target.sp.linear_1.weight"] = POOLER["bert.pooler.dense.weight"]
    return result


def old_uer(weights):
    old = {}
    for name, values in uer(weights).items():
        for new, previous in (
            ("target.mlm.linear", "target.mlm_linear"), ("target.mlm.layer_norm", "target.layer_norm"),
            ("target.sp.linear", "target.nsp_linear"),
            ("embedding.word.embedding", "embedding.word_embedding"),
            ("embedding.pos.embedding", "embedding.position_embedding"),
            ("embedding.seg.embedding", "embedding.segment_embedding"),
        ):
            name = name.replace(new, previous)
        old[name] = values
    return old


class Convert(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.folder.name)
        self.output = self.dir / "out.npz"

    def tearDown(self):
        self.folder.cleanup()

    def run_convert(self, *args, code=0, **options):
        command = [sys.executable, CONVERT / "convert.py", *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def convert(self, source, *args, warns=None):
        """Converts; returns the archive's arrays and metadata."""
        stderr = self.run_convert(source, self.output, *args).stderr
        if warns is None:
            self.assertEqual(stderr, "")
        else:
            self.assertEqual(stderr.count("\n"), 1, stderr)
            self.assertIn(warns, stderr)
        arrays = dict(np.load(self.output, allow_pickle=False))
        return arrays, json.loads(bytes(arrays.pop("__meta__")))

    def refuses(self, source, *messages, args=(), code=1):
        done = self.run_convert(source, self.output, *args, code=code)
        self.assertEqual(done.stdout, "")
        for message in messages:
            self.assertIn(str(message), done.stderr)
        self.assertTrue(done.stderr.splitlines()[-1].startswith("convert.py: error: "), done.stderr)
        if code == 1:
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse(self.output.exists())
        self.assertEqual(list(self.dir.glob("*.part")), [])

    def assert_same(self, arrays, expected=WEIGHTS):
        self.assertEqual(set(arrays), set(expected))
        for name, values in expected.items():
            self.assertEqual(arrays[name].dtype.str, "<f4", name)
            self.assertTrue(arrays[name].flags.c_contiguous, name)
            self.assertEqual(arrays[name].shape, values.shape, name)
            self.assertEqual(arrays[name].tobytes(), values.tobytes(), name)

    def safetensors(self, arrays, name="model.safetensors"):
        return save_safetensors(self.dir / name, arrays)

    def checkpoint(self):
        """Copies the checkpoint; returns its paths."""
        return [pathlib.Path(shutil.copy(GOLDEN / f"bert_model.ckpt.{end}", self.dir))
                for end in ("index", "data-00000-of-00001")]

    def edit_index(self, index, old, new):
        """Replaces bytes in the index's entry block, or its type byte if `old` is None, and fixes the CRC."""
        from checksum import masked_crc32c
        from tf_checkpoint import _varint
        data = index.read_bytes()
        size = _varint(data[-48:], 0)[0] - 5  # less the trailer: type (1 byte) and CRC (4)
        block = data[:size]
        if old is None:
            block += new
        else:
            self.assertEqual((block.count(old), len(old)), (1, len(new)))
            block = block.replace(old, new) + data[size:size + 1]
        index.write_bytes(block + struct.pack("<I", masked_crc32c(block)) + data[size + 5:])

    # All families convert to the same bits.

    def test_without_numpy(self):
        (self.dir / "numpy.py").write_text('raise ImportError("No module named \'numpy\'")\n')
        done = self.run_convert(GOLDEN, self.output, code=1, env={**os.environ, "PYTHONPATH": str(self.dir)})
        self.assertEqual(done.stderr, "convert.py: error: NumPy is missing (No module named 'numpy'); "
                                      "install python3-numpy (Debian) or numpy (pip)\n")

    def test_tensorflow_checkpoint(self):
        for source in (GOLDEN / "bert_model.ckpt", GOLDEN / "bert_model.ckpt.index"):
            arrays, meta = self.convert(source)
            self.assert_same(arrays)
            self.assertEqual(meta.pop("sha256").strip("0123456789abcdef"), "")
            self.assertEqual(meta,
                             {"format": 1, "vocab_size": 300, "layers": 2, "heads": 4, "hidden_act": "gelu",
                              "ln_eps": 1e-12, "source": "bert_model.ckpt.index"})

    def test_tensorflow_checkpoint_in_a_folder(self):
        self.checkpoint()
        self.assert_same(self.convert(self.dir)[0])

    def test_safetensors(self):
        self.assert_same(self.convert(GOLDEN / "model.safetensors")[0])

    def test_safetensors_with_gamma_beta_and_copies(self):
        self.assert_same(self.convert(GOLDEN / "model.gamma_beta.safetensors")[0])

    def test_half_precision_is_widened(self):
        half = {name: values.astype("<f2") for name, values in WEIGHTS.items()}
        self.assert_same(self.convert(self.safetensors(half))[0],
                         {n: v.astype("<f4") for n, v in half.items()})
        brain = {name: bfloat16(values) for name, values in WEIGHTS.items()}
        expected = {n: (v.view("<u4") & 0xFFFF0000).view("<f4") for n, v in WEIGHTS.items()}
        self.assert_same(self.convert(self.safetensors(brain))[0], expected)

    def test_shards(self):
        names = list(WEIGHTS)
        parts = {"a.safetensors": names[:20], "b.safetensors": names[20:]}
        for file, part in parts.items():
            self.safetensors({name: WEIGHTS[name] for name in part}, file)
        index = self.dir / "model.safetensors.index.json"
        places = {name: file for file, part in parts.items() for name in part}
        index.write_text(json.dumps({"weight_map": places}))
        self.assert_same(self.convert(self.dir)[0])
        self.output.unlink()
        (self.dir / "b.safetensors").unlink()
        self.refuses(index, self.dir / "b.safetensors", "missing")
        self.safetensors({name: WEIGHTS[name] for name in names[21:]}, "b.safetensors")
        self.refuses(index, "b.safetensors lacks " + names[20])

    @needs_torch
    def test_state_dict_of_torch(self):
        import torch
        state = {name: torch.from_numpy(values) for name, values in {**WEIGHTS, **POOLER}.items()}
        state["bert.embeddings.position_ids"] = torch.arange(64)
        torch.save(state, self.dir / "pytorch_model.bin")
        self.assert_same(self.convert(self.dir)[0])

    @needs_torch
    def test_uer(self):
        import torch
        torch.save({name: torch.from_numpy(values) for name, values in uer(WEIGHTS).items()},
                   self.dir / "uer.bin")
        self.assert_same(self.convert(self.dir / "uer.bin", "--from", "uer")[0])

    def test_uer_of_today_and_of_old(self):
        for names in (uer, old_uer):
            self.assert_same(self.convert(self.safetensors(names(WEIGHTS)), "--from", "uer")[0])

    def test_equal_weights_are_equal_files(self):
        self.convert(GOLDEN / "bert_model.ckpt")
        first = self.output.read_bytes()
        self.checkpoint()
        shutil.copy(GOLDEN / "bert_config.json", self.dir)
        self.convert(self.dir)
        self.assertEqual(self.output.read_bytes(), first)
        for member in zipfile.ZipFile(self.output).infolist():
            self.assertEqual((member.compress_type, member.date_time[0]), (zipfile.ZIP_STORED, 1980),
                             member.filename)

    # Missing and extra arrays.

    def test_without_head_and_prefix(self):
        bare = {name.removeprefix("bert."): v for name, v in {**WEIGHTS, **POOLER}.items()
                if name not in HEAD}
        arrays, _ = self.convert(self.safetensors(bare), warns="mlm_head = fresh")
        self.assert_same(arrays, {name: values for name, values in WEIGHTS.items() if name not in HEAD})

    def test_half_a_head_is_refused(self):
        self.refuses(self.safetensors({n: v for n, v in WEIGHTS.items() if n != HEAD[0]}), "lacks " + HEAD[0])

    def test_missing_arrays(self):
        key = "bert.encoder.layer.1.attention.self.key.bias"
        self.refuses(self.safetensors({n: v for n, v in WEIGHTS.items() if n != key}),
                     "model.safetensors lacks " + key)
        rest = {n: v for n, v in WEIGHTS.items() if "layer.0." not in n}
        self.refuses(self.safetensors(rest), "lacks bert.encoder.layer.0.attention.self.query.weight",
                     "and 12 more")
        self.refuses(self.safetensors(POOLER), "holds no BERT")

    def test_wrong_shapes(self):
        name = "bert.encoder.layer.1.intermediate.dense.weight"
        turned = {**WEIGHTS, name: WEIGHTS[name].T.copy()}
        self.refuses(self.safetensors(turned), name, "[64, 256]", "[256, 64] was expected")
        flat = {**WEIGHTS, WORDS: WEIGHTS[WORDS].ravel()}
        self.refuses(self.safetensors(flat), "must be matrices")
        two_rows = {**uer(WEIGHTS), "embedding.seg.embedding.weight": np.zeros((2, 64), "<f4")}
        self.refuses(self.safetensors(two_rows), "embedding.seg.embedding.weight", "[3, 64] was expected")

    def test_unknown_arrays(self):
        classifier = {"classifier.weight": np.zeros((2, 64), "<f4"), "classifier.bias": np.zeros(2, "<f4")}
        source = self.safetensors({**WEIGHTS, **classifier})
        said = "left out, as they are no part of BERT: classifier."
        self.assert_same(self.convert(source, warns=said + "bias, classifier.weight")[0])
        self.assert_same(self.convert(source, "--ignore", "classifier.bias", warns=said + "weight")[0])
        self.assert_same(self.convert(source, "--ignore", "classifier.*")[0])

    def test_arrays_that_change_what_bert_computes(self):
        layer = "bert.encoder.layer.1.attention.self."
        for name in (layer + "distance_embedding.weight", layer + "query.lora_A.weight",
                     layer + "query.weight_scale", "bert.embeddings.task_type_embeddings.weight"):
            self.output.unlink(missing_ok=True)
            source = self.safetensors({**WEIGHTS, name: np.ones((3, 64), "<f4")})
            self.refuses(source, "no part of BERT: " + name, f"--ignore '{name}'")
            self.assert_same(self.convert(source, "--ignore", "*" + name[-12:])[0])
        self.output.unlink()
        renamed = {name.replace("query.weight", "query.base_layer.weight"): v for name, v in WEIGHTS.items()}
        self.refuses(self.safetensors(renamed), "no part of BERT", "query.base_layer.weight")
        self.refuses(self.safetensors({**uer(WEIGHTS), "encoder.relative_pos_emb.weight": np.ones(4, "<f4")}),
                     "no part of BERT: encoder.relative_pos_emb.weight")

    def test_buffers_and_slots_are_no_news(self):
        buffers = {f"bert.embeddings.{name}_ids": ("I64", np.arange(64))
                   for name in ("position", "token_type")}
        self.assert_same(self.convert(self.safetensors({**WEIGHTS, **POOLER, **buffers}))[0])

    # Prefixes of wrappers.

    def test_wrapped_names(self):
        bare = {name.removeprefix("bert."): v for name, v in WEIGHTS.items() if name not in HEAD}
        for prefix in ("module.", "_orig_mod.", "model.", "module._orig_mod.", "model.bert.", "bert.",
                       "student."):
            named = {prefix + name: v for name, v in WEIGHTS.items()}
            self.assert_same(self.convert(self.safetensors(named))[0])
        for prefix in ("model.", "module.bert.", "0.auto_model."):
            named = {prefix + name: v for name, v in bare.items()}
            self.convert(self.safetensors(named), warns="mlm_head = fresh")
        for names in (uer, old_uer):
            wrapped = {"module." + name: v for name, v in names(WEIGHTS).items()}
            self.assert_same(self.convert(self.safetensors(wrapped))[0])
        mixed = {"model." + name: v for name, v in WEIGHTS.items()}
        self.convert(self.safetensors({**mixed, "loss.weight": np.ones(2, "<f4")}), warns="loss.weight")

    def test_wrapped_models_that_are_no_bert_or_several(self):
        for prefix in ("roberta.", "distil", "electra."):
            bare = prefix + ("" if prefix.endswith(".") else "bert.")
            named = {name.replace("bert.", bare, 1): v for name, v in WEIGHTS.items()}
            self.refuses(self.safetensors(named), "holds no BERT")
        two = {prefix + name: v for prefix in ("a.", "b.") for name, v in WEIGHTS.items()}
        self.refuses(self.safetensors(two), "holds several BERTs, 'a.…' and 'b.…'")

    def test_state_dicts_one_level_down(self):
        from arrays import ConvertError
        from torch_files import state_dict
        weights, other = {"w": np.ones(2)}, {"w": np.zeros(2)}
        find = lambda value: state_dict(value, np.ndarray, "m.bin")
        self.assertIs(find(weights), weights)
        for key in ("state_dict", "model_state_dict", "model", "module", "net"):
            self.assertIs(find({"epoch": 3, "optimizer": {"lr": 0.1}, key: weights}), weights)
        self.assertIs(find({"ema": other, "model": weights}), weights)
        for none, said in (({"a": weights, "b": other}, "several state dicts (a, b)"),
                           ({}, "not a state dict"), ({"epoch": 3}, "not a state dict"),
                           ([np.ones(2)], "not a state dict")):
            with self.assertRaisesRegex(ConvertError, said.replace("(", r"\(").replace(")", r"\)")):
                find(none)

    def test_one_array_under_two_names(self):
        gamma = "bert.embeddings.LayerNorm.gamma"
        twice = self.safetensors({**WEIGHTS, gamma: np.ones(64, "<f4")})
        self.refuses(twice, gamma, "bert.embeddings.LayerNorm.weight")

    def test_types_that_are_no_weights(self):
        for dtype, kind, said in (("U16", "<u2", "uint16"), ("I16", "<i2", "int16"), ("I8", "<i1", "int8"),
                                  ("U8", "<u1", "uint8"), ("I32", "<i4", "int32"), ("I64", "<i8", "int64"),
                                  ("BOOL", "?", "bool"), ("F8_E4M3", "<u1", "F8_E4M3")):
            said = f"{WORDS} is {said}; weights are float16, bfloat16, float32 or float64"
            self.refuses(self.safetensors({**WEIGHTS, WORDS: (dtype, WEIGHTS[WORDS].astype(kind))}), said)
            np.savez(self.dir / "in.npz", **{**WEIGHTS, WORDS: WEIGHTS[WORDS].astype(kind)})
            if dtype != "F8_E4M3":
                self.refuses(self.dir / "in.npz", said)
        scaled = {**WEIGHTS, WORDS: ("I8", WEIGHTS[WORDS].astype("i1")),
                  WORDS + "_scale": np.ones(300, "<f4")}
        self.refuses(self.safetensors(scaled), "is int8", "a quantized model is not trained")
        brain = {name: ("U16", bfloat16(values)) for name, values in WEIGHTS.items()}
        self.refuses(self.safetensors(brain), "is uint16", "if these are the bits of bfloat16")

    def test_double_precision_is_rounded(self):
        self.assert_same(self.convert(self.safetensors({n: v.astype("<f8") for n, v in WEIGHTS.items()}))[0])
        self.output.unlink()
        huge = WEIGHTS[WORDS].astype("<f8")
        huge[0, 0] = 1e300
        self.refuses(self.safetensors({**WEIGHTS, WORDS: huge}), WORDS, "does not fit float32")

    def test_npz(self):
        np.savez_compressed(self.dir / "in.npz",
                            **{n: np.asfortranarray(v.astype(">f4")) for n, v in WEIGHTS.items()})
        self.assert_same(self.convert(self.dir / "in.npz")[0])
        self.config(num_attention_heads=8)
        self.assertEqual(self.convert(self.dir / "in.npz")[1]["heads"], 8)
        self.output.rename(self.dir / "ours.npz")
        self.config(num_attention_heads=4)
        self.assertEqual(self.convert(self.dir / "ours.npz")[1]["heads"], 8)  # says so itself
        self.output.unlink()
        np.savez(self.dir / "in.npz", **{**WEIGHTS, WORDS: np.array([None])})
        self.refuses(self.dir / "in.npz", "in.npz cannot be read as .npz")
        (self.dir / "in.npz").write_bytes((self.dir / "ours.npz").read_bytes()[:5000])
        self.refuses(self.dir / "in.npz", "in.npz cannot be read as .npz")
        for meta in (b"[]", b'"heads"'):
            np.savez(self.dir / "in.npz", __meta__=np.frombuffer(meta, np.uint8), **WEIGHTS)
            self.refuses(self.dir / "in.npz", "in.npz: __meta__ is no JSON object")

    def test_arrays_that_hold_nothing(self):
        names = [name for name in WEIGHTS
                 if "layer.1.output.dense.weight" in name or "layer.1.output.LayerNorm.weight" in name]
        hole = {**WEIGHTS, **{name: WEIGHTS[name] * 0 for name in names}}
        hole[WORDS] = WEIGHTS[WORDS].copy()
        hole[WORDS][200:] = 0
        source = self.safetensors(hole)
        said = f"3 of {len(WEIGHTS)} arrays are constant or zero in large part: {WORDS}, "
        self.assert_same(self.convert(source, warns=said)[0], hole)
        fresh = {**WEIGHTS, HEAD[1]: WEIGHTS[HEAD[1]] * 0,
                 "bert.embeddings.LayerNorm.weight": np.ones(64, "<f4")}
        fresh[WORDS] = WEIGHTS[WORDS].copy()
        fresh[WORDS][280:290] = 0
        self.assertTrue(HEAD[1].endswith("bias"))
        self.assert_same(self.convert(self.safetensors(fresh))[0], fresh)

    def test_values_that_are_not_finite(self):
        for bad in (np.nan, np.inf):
            words = WEIGHTS[WORDS].copy()
            words[299, 63] = bad
            self.refuses(self.safetensors({**WEIGHTS, WORDS: words}), WORDS, "not finite")

    def test_output_matrix_of_its_own(self):
        untied = uer(WEIGHTS)
        untied["target.mlm.linear_2.weight"][7, 7] += 0.01
        source = self.safetensors(untied)
        self.refuses(source, "target.mlm.linear_2.weight", "0.01", "--drop-output-matrix")
        self.assert_same(self.convert(source, "--drop-output-matrix")[0])
        self.output.unlink()
        untied = {**WEIGHTS, "cls.predictions.decoder.weight": WEIGHTS[WORDS] * np.float32(1.01)}
        self.refuses(self.safetensors(untied), "cls.predictions.decoder.weight")
        untied["cls.predictions.decoder.weight"] = np.zeros((299, 64), "<f4")
        self.refuses(self.safetensors(untied), "[299, 64]", "[300, 64] was expected")

    def test_output_matrix_that_was_rounded(self):
        untied = uer(WEIGHTS)
        untied["target.mlm.linear_2.weight"][0, 0] += np.float32(5e-7)
        self.assert_same(self.convert(self.safetensors(untied))[0])
        decoder = "cls.predictions.decoder.weight"
        large = {**WEIGHTS, WORDS: WEIGHTS[WORDS] * np.float32(1000)}
        next_one = np.nextafter(large[WORDS], np.float32(np.inf))
        for copy in (next_one, large[WORDS].astype("<f2"), bfloat16(large[WORDS])):
            self.assert_same(self.convert(self.safetensors({**large, decoder: copy}))[0], large)
        self.output.unlink()
        self.refuses(self.safetensors({**large, decoder: large[WORDS] * np.float32(1 + 2e-6)}), decoder,
                     "--drop-output")

    def test_output_bias_and_its_copy(self):
        bias, copy = "cls.predictions.bias", "cls.predictions.decoder.bias"
        moved = {**WEIGHTS, copy: WEIGHTS[bias]}
        del moved[bias]
        self.assert_same(self.convert(self.safetensors(moved))[0])
        self.output.unlink()
        other = self.safetensors({**WEIGHTS, copy: WEIGHTS[bias] + np.float32(0.5)})
        self.refuses(other, copy, bias, "0.5", args=["--drop-output-matrix"])

    # Damaged files.

    def test_checkpoint_without_its_data(self):
        _, data = self.checkpoint()
        data.unlink()
        self.refuses(self.dir / "bert_model.ckpt", data, "missing")

    def test_checkpoint_cut_short(self):
        index, data = self.checkpoint()
        data.write_bytes(data.read_bytes()[:-70000])
        self.refuses(index, data, "cut short")
        index.write_bytes(index.read_bytes()[:-100])
        self.refuses(index, index, "cut short")

    def test_checkpoint_with_a_flipped_bit(self):
        index, data = self.checkpoint()
        good = data.read_bytes()
        data.write_bytes(good[:20000] + bytes([good[20000] ^ 1]) + good[20001:])
        self.refuses(index, data, "wrong CRC-32C of bert/embeddings/word_embeddings")
        data.write_bytes(good)
        entries = index.read_bytes()
        index.write_bytes(entries[:300] + bytes([entries[300] ^ 64]) + entries[301:])
        self.refuses(index, index, "wrong CRC-32C")

    def test_checkpoint_of_kinds_that_are_not_read(self):
        index, _ = self.checkpoint()
        good = index.read_bytes()
        self.edit_index(index, b"word_embeddings\x08\x01", b"word_embeddings\x08\x03")
        self.refuses(index, "bert/embeddings/word_embeddings is int32")
        index.write_bytes(good)
        self.edit_index(index, b"word_embeddings\x08\x01\x12", b"word_embeddings\x08\x01\x10")
        self.refuses(index, f"{index} cannot be understood (TypeError")  # a shape that is a number
        index.write_bytes(good)
        self.edit_index(index, None, b"\x01")  # Snappy
        self.refuses(index, index, "compressed")
        index.write_bytes(good)
        self.edit_index(index, b"\x08\x01\x1a\x02\x08\x01", b"\x10\x01\x1a\x02\x08\x01")  # endianness 1
        self.refuses(index, index, "big-endian")

    def test_checkpoint_in_two_shards(self):
        index, data = self.checkpoint()
        self.edit_index(index, b"\x08\x01\x1a\x02\x08\x01", b"\x08\x02\x1a\x02\x08\x01")
        data.rename(self.dir / "bert_model.ckpt.data-00000-of-00002")
        self.refuses(index, "bert_model.ckpt.data-00001-of-00002")
        (self.dir / "bert_model.ckpt.data-00001-of-00002").touch()
        self.assert_same(self.convert(index)[0])

    def test_safetensors_damaged(self):
        source = self.dir / "model.safetensors"
        good = (GOLDEN / "model.safetensors").read_bytes()
        for damaged, message in ((good[:-1000], "cut short"), (good[:1000], "cut short"),
                                 (good[:5], "cut short"), (good[:8] + b"[" + good[9:], "not JSON"),
                                 (b"", "cut short"),
                                 (struct.pack("<Q", 2) + b"[]", "malformed header (it is no JSON object)")):
            source.write_bytes(damaged)
            self.refuses(source, source, message)

    def test_safetensors_whose_arrays_overlap_or_leave_holes(self):
        good, source = (GOLDEN / "model.safetensors").read_bytes(), self.dir / "model.safetensors"
        size = struct.unpack("<Q", good[:8])[0]
        header, values = json.loads(good[8:8 + size]), good[8 + size:]
        key, query = ("bert.encoder.layer.0.attention.self." + part
                      for part in ("key.weight", "query.weight"))
        both = {**header, key: {**header[key], "data_offsets": header[query]["data_offsets"]}}
        less = {name: entry for name, entry in header.items() if name != key}
        for changed, tail, said in ((both, b"", "belong to none"), (less, b"", "belong to none"),
                                    (header, b"x" * 9, "9 bytes after the last array belong to none")):
            text = json.dumps(changed).encode()
            source.write_bytes(struct.pack("<Q", len(text)) + text + values + tail)
            self.refuses(source, source, said)
        text = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                           "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}).encode()
        source.write_bytes(struct.pack("<Q", len(text)) + text + bytes(12))
        self.refuses(source, "array 'b' overlaps another one")
        text = text.replace(b'"b"', b'"a"')
        source.write_bytes(struct.pack("<Q", len(text)) + text + bytes(12))
        self.refuses(source, "the key 'a' occurs twice")

    def test_files_of_other_kinds(self):
        for name in ("model.safetensors", "model.bin", "model.npz"):
            for text, said in ((b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n",
                                "is a Git LFS pointer"),
                               (b"\n<!DOCTYPE html>\n<html>", "is a web page (HTML)"),
                               (b"\x1f\x8b\x08\0", "compressed by gzip"),
                               (b"<?xml version='1.0'?>\n<html>", "is a web page (HTML)"),
                               (b"<?xml version='1.0'?><Error>", "is an XML document"),
                               (b"\x89HDF\r\n\x1a\n", "save_weights_as_checkpoint")):
                (self.dir / name).write_bytes(text)
                self.refuses(self.dir / name, self.dir / name, said)
        index, data = self.checkpoint()
        lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\n"
        data.write_bytes(lfs)
        self.refuses(index, f"{data} is a Git LFS pointer")
        index.write_bytes(lfs)
        self.refuses(index, f"{index} is a Git LFS pointer")
        (self.dir / "config.json").write_bytes(lfs)
        self.refuses(self.safetensors(WEIGHTS), "config.json is a Git LFS pointer")

    @needs_torch
    def test_pickles_run_nothing(self):
        import os
        import torch

        class Trap:
            def __reduce__(self):
                return os.mkdir, (str(trap),)

        trap, source = self.dir / "ran", self.dir / "model.bin"
        torch.save({"weight": Trap()}, source)
        self.refuses(source, source, "more than a state dict")
        self.assertFalse(trap.exists())
        torch.save({"state_dict": {"weight": torch.ones(2)}}, source)
        self.refuses(source, source, "holds no BERT")
        torch.save({"epoch": 2}, source)
        self.refuses(source, source, "not a state dict")
        source.write_bytes(source.read_bytes()[:200])
        self.refuses(source, source, "cut short")

    # config.json beside the source.

    def config(self, **values):
        config = json.loads((GOLDEN / "bert_config.json").read_text())
        (self.dir / "config.json").write_text(json.dumps({**config, **values}))

    def test_without_configuration_heads_are_unknown(self):
        meta = self.convert(self.safetensors(WEIGHTS))[1]
        self.assertNotIn("heads", meta)
        self.assertEqual(meta["ln_eps"], 1e-12)

    def test_configuration(self):
        source = self.safetensors(WEIGHTS)
        self.config(layer_norm_eps=1e-5, num_attention_heads=8)
        meta = self.convert(source)[1]
        self.assertEqual((meta["heads"], meta["ln_eps"]), (8, 1e-5))
        self.assertEqual(self.convert(source, "--config", GOLDEN / "bert_config.json")[1]["heads"], 4)
        self.config(hidden_act="gelu_new")
        self.assertEqual(self.convert(source, warns="tanh")[1]["hidden_act"], "gelu_new")
        uer_config = {"heads_num": 4, "layers_num": 2, "feedforward_size": 256, "hidden_size": 64,
                      "hidden_act": "gelu"}
        (self.dir / "config.json").write_text(json.dumps(uer_config))
        self.assertEqual(self.convert(source)[1]["heads"], 4)

    def test_configuration_of_another_model(self):
        source = self.safetensors(WEIGHTS)
        self.config(vocab_size=296)
        said = "vocab_size = 296, but the word embedding has 300 rows; the last 4 are taken for padding"
        self.assertEqual(self.convert(source, warns=said)[1]["vocab_size"], 296)
        self.output.unlink()
        for key, value in (("num_hidden_layers", 3), ("hidden_size", 128), ("vocab_size", 301),
                           ("intermediate_size", 255), ("max_position_embeddings", 512)):
            self.config(**{key: value})
            self.refuses(source, "config.json", key, value)
        self.config(num_attention_heads=5)
        self.refuses(source, "5 heads do not divide")

    def test_configuration_that_is_refused(self):
        source = self.safetensors(WEIGHTS)
        for key, value in (("hidden_act", "relu"), ("position_embedding_type", "relative_key"),
                           ("model_type", "roberta")):
            self.config(**{key: value})
            self.refuses(source, f"config.json: {key} = '{value}' is not run here; ")
        for key, value in (("is_decoder", True), ("add_cross_attention", True),
                           ("tie_word_embeddings", False)):
            self.config(**{key: value})
            self.refuses(source, f"config.json: {key} = {json.dumps(value)} is not run here; ")
            self.config(**{key: not value, "model_type": "bert", "position_embedding_type": None})
            self.convert(source)
            self.output.unlink()
        self.config(tie_word_embeddings=False)
        self.convert(source, "--drop-output-matrix")
        self.output.unlink()
        self.config(num_attention_heads="4")
        self.refuses(source, "config.json", "num_attention_heads")
        (self.dir / "config.json").write_text("{")
        self.refuses(source, "config.json", "JSON")

    def test_a_configuration_with_a_byte_order_mark(self):
        source = self.safetensors(WEIGHTS)
        (self.dir / "config.json").write_bytes(b"\xef\xbb\xbf" + (GOLDEN / "bert_config.json").read_bytes())
        self.assertEqual(self.convert(source)[1]["heads"], 4)

    # Command line.

    def test_bad_usage(self):
        self.refuses(GOLDEN / "model.safetensors", "--from", args=["--from", "keras"], code=2)
        self.assertIn("usage", self.run_convert(code=2).stderr)
        self.assertIn("does not end in .npz",
                      self.run_convert(GOLDEN / "model.safetensors", "out", code=2).stderr)

    def test_another_family_than_said(self):
        self.refuses(GOLDEN / "model.safetensors", "--from hf", args=["--from", "tf"])

    def test_sources_that_are_none(self):
        self.refuses(self.dir / "absent.ckpt", self.dir / "absent.ckpt", "does not exist")
        self.refuses(self.dir, self.dir, "no model")
        self.refuses(self.safetensors(WEIGHTS), "absent.json", args=["--config", self.dir / "absent.json"])
        keras = self.dir / "best_model.weights"
        keras.touch()
        self.refuses(keras, "save_weights_as_checkpoint")

    def test_two_checkpoints_in_one_folder(self):
        index, _ = self.checkpoint()
        shutil.copy(index, self.dir / "other.index")
        self.refuses(self.dir, "several models", "other.index")

    def test_a_failure_leaves_the_old_output(self):
        self.output.write_bytes(b"old")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))  # simulates a full disk
        stderr = self.run_convert(GOLDEN / "bert_model.ckpt", self.output, code=1, preexec_fn=limit).stderr
        # With NumPy < 2, zipfile prints "Exception ignored in …" afterwards.
        self.assertEqual(stderr.splitlines()[0], f"convert.py: error: {self.output}: File too large")
        self.assertEqual([path.name for path in self.dir.iterdir()], ["out.npz"])
        self.assertEqual(self.output.read_bytes(), b"old")


if __name__ == "__main__":
    unittest.main()

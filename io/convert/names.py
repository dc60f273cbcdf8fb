"""BERT's arrays: canonical name (Hugging Face's BertForMaskedLM), Google's, UER's, and the shape.

Files are recognised by names, never by shapes: square matrices look the same transposed.
"""
from __future__ import annotations

import re
from dataclasses import dataclass

from arrays import ConvertError

WORDS = "bert.embeddings.word_embeddings.weight"
SEGMENTS = "bert.embeddings.token_type_embeddings.weight"
OUTPUT_BIAS = "cls.predictions.bias"


@dataclass(frozen=True)
class Name:
    canonical: str
    tf: str
    uer: str
    shape: str  # canonical: V vocabulary, P positions, S segments, H hidden, I intermediate

    def dims(self, sizes: dict[str, int]) -> tuple[int, ...]:
        return tuple(sizes[letter] for letter in self.shape)


def _slashes(module: str) -> str:
    return re.sub(r"layer\.(\d+)", r"layer_\1", module).replace(".", "/")


def _dense(module: str, uer: str, shape: str) -> list[Name]:
    return [Name(f"{module}.weight", f"{_slashes(module)}/kernel", f"{uer}.weight", shape),
            Name(f"{module}.bias", f"{_slashes(module)}/bias", f"{uer}.bias", shape[0])]


def _norm(module: str, uer: str) -> list[Name]:
    return [Name(f"{module}.weight", f"{_slashes(module)}/gamma", f"{uer}.gamma", "H"),
            Name(f"{module}.bias", f"{_slashes(module)}/beta", f"{uer}.beta", "H")]


def _embedding(table: str, uer: str, shape: str) -> list[Name]:
    module = f"bert.embeddings.{table}_embeddings"
    return [Name(f"{module}.weight", _slashes(module), f"embedding.{uer}.embedding.weight", shape)]


def _layer(i: int) -> list[Name]:
    bert, uer = f"bert.encoder.layer.{i}.", f"encoder.transformer.{i}."
    return [*_dense(bert + "attention.self.query", uer + "self_attn.linear_layers.0", "HH"),
            *_dense(bert + "attention.self.key", uer + "self_attn.linear_layers.1", "HH"),
            *_dense(bert + "attention.self.value", uer + "self_attn.linear_layers.2", "HH"),
            *_dense(bert + "attention.output.dense", uer + "self_attn.final_linear", "HH"),
            *_norm(bert + "attention.output.LayerNorm", uer + "layer_norm_1"),
            *_dense(bert + "intermediate.dense", uer + "feed_forward.linear_1", "IH"),
            *_dense(bert + "output.dense", uer + "feed_forward.linear_2", "HI"),
            *_norm(bert + "output.LayerNorm", uer + "layer_norm_2")]


def encoder(layers: int) -> list[Name]:
    """BERT's arrays without the head, in canonical order."""
    names = [*_embedding("word", "word", "VH"), *_embedding("position", "pos", "PH"),
             *_embedding("token_type", "seg", "SH"),
             *_norm("bert.embeddings.LayerNorm", "embedding.layer_norm")]
    for i in range(layers):
        names += _layer(i)
    return names


# Masked-language-model head. Its output matrix is the word embedding (tied).
HEAD = [*_dense("cls.predictions.transform.dense", "target.mlm.linear_1", "HH"),
        *_norm("cls.predictions.transform.LayerNorm", "target.mlm.layer_norm"),
        Name(OUTPUT_BIAS, "cls/predictions/output_bias", "target.mlm.linear_2.bias", "V")]


@dataclass(frozen=True)
class Layout:
    """Array names of one family of files. `column` is the attribute of Name that holds them."""
    column: str
    words: str                # name that identifies the family
    layer: str                # pattern with the layer's number
    inside: str               # pattern of arrays that change what the encoder computes
    ignored: str              # pattern of unused arrays: pooler, next sentence, optimizer
    tied: dict[str, str]      # arrays that must equal a canonical one
    aliases: list[tuple[str, str]]  # older spellings, as substitutions


# Prefixes that wrappers put before BERT's names. Any name may precede `bert.`; without it only these may, for
# `roberta.` and others hold other models.
WRAPPER = r"(?:(?:module|_orig_mod|model|base_model|auto_model|bert_model|encoder|backbone|bert|0)\.)*"

TF = Layout(
    column="tf", words="bert/embeddings/word_embeddings", layer=r"bert/encoder/layer_(\d+)/",
    inside=r"bert/(embeddings|encoder)/",
    ignored=r".*/adam_[mv]|.*/Adam(_1)?|global_step|bert/pooler/.*|cls/seq_relationship/.*",
    tied={}, aliases=[])

HF = Layout(
    column="canonical", words=WORDS, layer=r"bert\.encoder\.layer\.(\d+)\.",
    inside=r"bert\.(embeddings|encoder)\.",
    ignored=r"bert\.pooler\..*|cls\.seq_relationship\..*|bert\.embeddings\.(position|token_type)_ids",
    tied={"cls.predictions.decoder.weight": WORDS, "cls.predictions.decoder.bias": OUTPUT_BIAS},
    aliases=[(r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias"),
             (r"^(embeddings|encoder|pooler)\.", r"bert.\1.")])

UER = Layout(
    column="uer", words="embedding.word.embedding.weight", layer=r"encoder\.transformer\.(\d+)\.",
    inside=r"(embedding|encoder)\.", ignored=r"target\.(nsp|sp)[._].*",
    tied={"target.mlm.linear_2.weight": WORDS},
    aliases=[(r"^target\.mlm_linear", "target.mlm.linear"), (r"^target\.layer_norm", "target.mlm.layer_norm"),
             (r"^embedding\.word_embedding\.", "embedding.word.embedding."),
             (r"^embedding\.position_embedding\.", "embedding.pos.embedding."),
             (r"^embedding\.segment_embedding\.", "embedding.seg.embedding.")])

LAYOUTS = {"tf": TF, "hf": HF, "uer": UER}


def wrapper(names: list[str], layout: Layout) -> str:
    """The prefix of a wrapper, as "module." (DataParallel) or "_orig_mod." (torch.compile); "" if none."""
    found = set()
    for name in names:
        if re.fullmatch(layout.ignored, name):
            continue
        for at in [0, *(match.end() for match in re.finditer(r"[./]", name))]:
            prefix, rest = name[:at], name[at:]
            is_words = modern(rest, layout) == layout.words
            if is_words and (rest.startswith("bert") or re.fullmatch(WRAPPER, prefix)):
                found.add(prefix)
                break
    if "" in found or not found:
        return ""
    if len(found) > 1:
        raise ConvertError("holds several BERTs, "
                           + " and ".join(f"'{prefix}…'" for prefix in sorted(found))
                           + "; save the one that is wanted alone")
    return found.pop()


def modern(name: str, layout: Layout) -> str:
    """The name in the layout's current spelling."""
    for old, new in layout.aliases:
        name = re.sub(old, new, name)
    return name

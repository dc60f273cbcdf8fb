"""BERT written by hand for PyTorch: fused QKV, tied embedding, head on gathered targets; rows packed or
padded.

Post-norm encoder, erf GELU, LayerNorm epsilon 1e-12. Dropout follows the embedding and each sublayer (25
sites at 12 layers); attention probabilities have none.
"""
import torch
import torch.nn.functional as F
from torch import nn

from layout import IGNORED
from weights import OUTPUT_BIAS, WORDS

try:  # PyTorch 2.10 and later
    from torch.nn.attention.varlen import varlen_attn
except ImportError:

    def varlen_attn(q, k, v, starts_q, starts_k, longest_q, longest_k):
        forward = torch.ops.aten._flash_attention_forward
        return forward(q, k, v, starts_q, starts_k, longest_q, longest_k, 0.0, False, False)[0]


class Move(torch.autograd.Function):
    """y = x[there]. Each row of x is once in y, at `back`; the other rows of y are padding. The gradient is
    therefore a gather too, without atomics. `real` (optional) marks the rows of x that are not padding and
    have a gradient."""

    @staticmethod
    def forward(ctx, x, there, back, real):
        ctx.save_for_backward(back, real)
        return x.index_select(0, there)

    @staticmethod
    def backward(ctx, g):
        back, real = ctx.saved_tensors
        g = g.index_select(0, back)
        return (g if real is None else torch.where(real, g, 0)), None, None, None


class Attention:
    """Attention of one batch, from [rows, 3H] to [rows, H]."""

    def __init__(self, kind, shape, heads, fields):
        self.kind, self.shape, self.heads, self.fields = kind, shape, heads, fields
        if kind == "varlen":
            return
        if kind == "grid":  # packed rows, unpacked to a padded grid for attention only
            counts = fields["starts"].diff()
            self.visible = torch.arange(shape.length, device=counts.device) < counts[:, None]
            seen = self.visible.clone()
            seen[:, 0] = True  # an empty padding sequence must not be fully masked (NaN)
        else:
            seen = fields["ids"] != 0
        self.seen = seen[:, None, None, :].expand(-1, 1, shape.length, -1)

    def mask(self, dtype):  # built once per step; a bool mask would be converted in every layer
        if self.kind != "varlen":
            zero = torch.zeros((), dtype=dtype, device=self.seen.device)
            self.bias = torch.where(self.seen, zero, float("-inf")).to(dtype)
        return self

    def __call__(self, qkv):
        s, fields = self.shape, self.fields
        if self.kind == "varlen":
            q, k, v = qkv.view(s.rows, 3, self.heads, -1).unbind(1)
            starts = fields["starts"]
            return varlen_attn(q, k, v, starts, starts, s.length, s.length).reshape(s.rows, -1)
        if self.kind == "grid":
            qkv = Move.apply(qkv, fields["to_grid"], fields["to_packed"], None)
        q, k, v = qkv.view(s.sequences, s.length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        context = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        context = context.transpose(1, 2).reshape(s.sequences * s.length, -1)
        if self.kind == "grid":
            context = Move.apply(context, fields["to_packed"], fields["to_grid"], self.visible.view(-1, 1))
        return context


class Layer(nn.Module):
    def __init__(self, hidden, intermediate):
        super().__init__()
        self.qkv, self.output = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.intermediate = nn.Linear(hidden, intermediate)
        self.output_dense = nn.Linear(intermediate, hidden)
        self.attention_norm, self.output_norm = nn.LayerNorm(hidden, 1e-12), nn.LayerNorm(hidden, 1e-12)

    def forward(self, x, attend, p):
        x = self.attention_norm(x + F.dropout(self.output(attend(self.qkv(x))), p))
        return self.output_norm(x + F.dropout(self.output_dense(F.gelu(self.intermediate(x))), p))


class Bert(nn.Module):
    def __init__(self, vocabulary, layers, hidden, heads, intermediate, positions, dropout=0.1):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.words, self.positions = nn.Embedding(vocabulary, hidden), nn.Embedding(positions, hidden)
        self.segments = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, 1e-12)
        self.layers = nn.ModuleList(Layer(hidden, intermediate) for _ in range(layers))
        self.transform, self.transform_norm = nn.Linear(hidden, hidden), nn.LayerNorm(hidden, 1e-12)
        self.output_bias = nn.Parameter(torch.zeros(vocabulary))

    def forward(self, fields, shape, attention):
        """Mean cross-entropy of the targets."""
        ids = fields["ids"]
        if attention == "direct":
            places = self.positions.weight[: shape.length]
        else:
            places = self.positions(fields["positions"])
        x = self.norm(self.words(ids) + places + self.segments.weight[0])
        x = F.dropout(x, self.dropout).view(shape.rows, -1)
        attend = Attention(attention, shape, self.heads, fields).mask(x.dtype)
        for layer in self.layers:
            x = layer(x, attend, self.dropout)
        x = self.transform_norm(F.gelu(self.transform(x.index_select(0, fields["target_rows"]))))
        logits = F.linear(x, self.words.weight, self.output_bias)
        return F.cross_entropy(logits.float(), fields["labels"], ignore_index=IGNORED)

    def sources(self):
        """Each parameter with the names of the arrays that it concatenates."""
        yield self.words.weight, [WORDS]
        yield self.positions.weight, ["bert.embeddings.position_embeddings.weight"]
        yield self.segments.weight, ["bert.embeddings.token_type_embeddings.weight"]
        modules = [(self.norm, ["bert.embeddings.LayerNorm"])]
        for i, layer in enumerate(self.layers):
            at = f"bert.encoder.layer.{i}"
            modules += [
                (layer.qkv, [f"{at}.attention.self.{name}" for name in ("query", "key", "value")]),
                (layer.output, [f"{at}.attention.output.dense"]),
                (layer.attention_norm, [f"{at}.attention.output.LayerNorm"]),
                (layer.intermediate, [f"{at}.intermediate.dense"]),
                (layer.output_dense, [f"{at}.output.dense"]),
                (layer.output_norm, [f"{at}.output.LayerNorm"]),
            ]
        modules += [(self.transform, ["cls.predictions.transform.dense"])]
        modules += [(self.transform_norm, ["cls.predictions.transform.LayerNorm"])]
        for module, names in modules:
            yield module.weight, [f"{name}.weight" for name in names]
            yield module.bias, [f"{name}.bias" for name in names]
        yield self.output_bias, [OUTPUT_BIAS]

    @torch.no_grad()
    def load(self, weights):
        loaded = set()
        for parameter, names in self.sources():
            parameter.copy_(torch.cat([weights[name] for name in names]))
            loaded.update(names)
        assert loaded == set(weights), f"left over: {sorted(set(weights) - loaded)}"

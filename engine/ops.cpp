#include "ops.h"

#include <fmt/format.h>

#include <stdexcept>

#include "ranges.h"

namespace warpbert {

static void expect(bool ok, const char* op, const std::string& shapes) {
  if (!ok) throw std::invalid_argument(fmt::format("{}: {}", op, shapes));
}

// ---- linear -----------------------------------------------------------------------------------------------
static Tensor linear_as(Tape& tape, Tensor x, Parameter& weight, DType dtype, const char* name) {
  const Range range(name, Category::forward);
  expect(x.cols() == weight.cols, "linear",
         fmt::format("{} [{}, {}] by {} [{}, {}]", x.name(), x.capacity(), x.cols(), weight.pieces[0].name,
                     weight.rows, weight.cols));
  x.read(name);
  Tensor y = tape.tensor(name, x.rows(), weight.rows, dtype);
  tape.gemm().multiply({y.view(), x.view(), transposed(weight.view())});
  tape.on_backward(name, y, [=, &tape, &weight] {
    tape.weight_gradient(weight, [&](Gemm& gemm, GradView dw) {
      gemm.multiply({dw.view, transposed(y.grad()), x.view(), dw.mode});
    });
    const GradView dx = x.write_grad();
    tape.gemm().multiply({dx.view, y.grad(), weight.view(), dx.mode});
  });
  return y;
}

Tensor linear(Tape& tape, Tensor x, Parameter& weight, const char* name) {
  return linear_as(tape, x, weight, tape.dtype(), name);
}
Tensor linear_f32(Tape& tape, Tensor x, Parameter& weight, const char* name) {
  return linear_as(tape, x, weight, DType::f32, name);
}

// ---- gelu -------------------------------------------------------------------------------------------------
Tensor gelu(Tape& tape, Tensor x, Parameter& bias) {
  const Range range("gelu", Category::forward);
  expect(bias.rows == x.cols(), "gelu", fmt::format("{} columns, {} biases", x.cols(), bias.rows));
  x.read_alone("gelu");
  Tensor y = tape.like("gelu", x);
  kernels::bias_gelu_forward(tape.stream(), y.view(), x.view(), bias.vector());
  tape.on_backward("gelu", y, [=, &tape, &bias] {
    const Partials sums = tape.partials(kernels::partial_blocks(x.capacity()), 1, x.cols());
    kernels::bias_gelu_backward(tape.stream(), x.overwrite_grad(), sums.data, y.grad(), x.view(),
                                bias.vector());
    tape.reduce(sums, {&bias});
  });
  return y;
}

// ---- layer norm -------------------------------------------------------------------------------------------
static kernels::NormArgs norm_args(Tape& tape, Tensor x, const Norm& norm, kernels::Dropout dropout) {
  return {.x = x.view(),
          .mean = tape.floats("row statistics", x.capacity()),
          .rstd = tape.floats("row statistics", x.capacity()),
          .gamma = norm.gamma->vector(),
          .beta = norm.beta->vector(),
          .epsilon = norm.epsilon,
          .dropout = dropout};
}

Tensor layer_norm(Tape& tape, Tensor x, const Norm& norm, kernels::Dropout dropout) {
  const Range range("layer_norm", Category::forward);
  expect(norm.gamma->rows == x.cols(), "layer_norm",
         fmt::format("{} columns, {} gains", x.cols(), norm.gamma->rows));
  x.read("layer_norm");
  Tensor y = tape.like("layer_norm", x);
  const kernels::NormArgs args = norm_args(tape, x, norm, dropout);
  kernels::layer_norm_forward(tape.stream(), y.view(), args);
  tape.on_backward("layer_norm", y, [=, &tape] {
    const Partials sums = tape.partials(kernels::norm_blocks(x.capacity()), 2, x.cols());
    kernels::layer_norm_backward(tape.stream(), x.write_grad(), sums.data, y.grad(), args);
    tape.reduce(sums, {norm.gamma, norm.beta});
  });
  return y;
}

Tensor add_dropout_norm(Tape& tape, Tensor residual, Tensor x, Parameter& bias, const Norm& norm,
                        kernels::Dropout dropout) {
  const Range range("add_dropout_norm", Category::forward);
  expect(norm.gamma->rows == x.cols() && bias.rows == x.cols() && residual.cols() == x.cols(),
         "add_dropout_norm",
         fmt::format("residual [{}, {}], x [{}, {}], {} biases, {} gains", residual.capacity(),
                     residual.cols(), x.capacity(), x.cols(), bias.rows, norm.gamma->rows));
  residual.read("add_dropout_norm");
  x.read_alone("add_dropout_norm");
  Tensor y = tape.like("add_dropout_norm", x);
  const kernels::NormArgs h = norm_args(tape, x, norm, dropout);  // in place: backward needs only the sum
  kernels::add_dropout_norm_forward(tape.stream(), y.view(), x.view(), bias.vector(), residual.view(), h);
  tape.on_backward("add_dropout_norm", y, [=, &tape, &bias] {
    const Partials sums = tape.partials(kernels::norm_blocks(x.capacity()), 3, x.cols());
    kernels::add_dropout_norm_backward(tape.stream(), x.overwrite_grad(), residual.write_grad(), sums.data,
                                       y.grad(), h);
    tape.reduce(sums, {norm.gamma, norm.beta, &bias});
  });
  return y;
}

// ---- embedding --------------------------------------------------------------------------------------------
Tensor embedding(Tape& tape, const Packing& batch, Parameter& word, Parameter& position, Parameter& segment) {
  const Range range("embedding", Category::forward);
  const int hidden = word.cols, capacity = batch.rows.capacity;
  expect(position.cols == hidden && segment.cols == hidden && batch.sequences.max_length <= position.rows,
         "embedding",
         fmt::format("tables of {}, {} and {} columns, sequences to {} tokens, {} positions", hidden,
                     position.cols, segment.cols, batch.sequences.max_length, position.rows));
  Tensor y = tape.tensor("embedding", batch.rows, hidden);
  kernels::embedding_forward(tape.stream(), y.view(), {word.view(), position.view(), segment.view()},
                             batch.ids, batch.positions);
  tape.on_backward("embedding", y, [=, &tape, &word, &position, &segment] {
    float* workspace = tape.floats("embedding workspace", kernels::embedding_workspace(capacity, hidden));
    const Partials sums = tape.partials(kernels::partial_blocks(capacity), 1, hidden);
    const View dword = tape.additive_grad(word);  // the tied head may have written it
    const View dsegment = tape.additive_grad(segment);
    kernels::embedding_backward_word(tape.stream(), dword, workspace, y.grad(), batch.ids, batch.order);
    kernels::embedding_backward_position(tape.stream(), position.write_grad(), y.grad(), batch.sequences);
    kernels::partial_sums(tape.stream(), sums.data, y.grad());
    tape.reduce({dsegment.as<float>(), Grad::accumulate, sums.data, sums.blocks, hidden, hidden});
  });
  return y;
}

// ---- attention --------------------------------------------------------------------------------------------
Tensor attention(Tape& tape, Tensor qkv, Parameter& bias, const Packing& batch, int heads,
                 kernels::Dropout dropout) {
  const Range range("attention", Category::forward);
  const int hidden = qkv.cols() / 3;
  expect(qkv.cols() % 3 == 0 && heads > 0 && hidden % heads == 0 && bias.rows == qkv.cols(), "attention",
         fmt::format("qkv [{}, {}], {} heads, {} biases", qkv.capacity(), qkv.cols(), heads, bias.rows));
  qkv.read_alone("attention");
  Tensor out = tape.tensor("attention", qkv.rows(), hidden);
  out.read("attention");  // read again in backward
  const kernels::AttentionArgs args{
      .qkv = qkv.view(),
      .bias = bias.vector(),
      .lse = tape.floats("attention log-sum-exp", size_t(heads) * qkv.capacity()),
      .sequences = batch.sequences,
      .heads = heads,
      .dropout = dropout};
  kernels::attention_forward(tape.stream(), out.view(), args);
  tape.on_backward("attention", out, [=, &tape, &bias] {
    const Partials sums = tape.partials(kernels::partial_blocks(qkv.capacity()), 1, qkv.cols());
    const View dqkv = qkv.overwrite_grad();
    kernels::attention_backward(tape.stream(), dqkv, out.grad(), out.view(), args);
    kernels::partial_sums(tape.stream(), sums.data, dqkv);
    tape.reduce(sums, {&bias});
  });
  return out;
}

// ---- gather -----------------------------------------------------------------------------------------------
Tensor gather(Tape& tape, Tensor x, const int* index, kernels::Rows targets) {
  const Range range("gather", Category::forward);
  x.read("gather");
  Tensor y = tape.tensor("gather", targets, x.cols());
  kernels::gather_rows(tape.stream(), y.view(), x.view(), index);
  tape.on_backward("gather", y,
                   [=, &tape] { kernels::scatter_rows(tape.stream(), x.write_grad(), y.grad(), index); });
  return y;
}

// ---- cross-entropy ----------------------------------------------------------------------------------------
float* cross_entropy(Tape& tape, Tensor logits, Parameter& bias, const kernels::Target* targets,
                     const float* scale, int classes) {
  const Range range("cross_entropy", Category::forward);
  expect(logits.dtype() == DType::f32 && classes <= logits.cols() && bias.rows == logits.cols(),
         "cross_entropy",
         fmt::format("logits [{}, {}], {} classes, {} biases", logits.capacity(), logits.cols(), classes,
                     bias.rows));
  logits.read_alone("cross_entropy");
  float* loss = tape.floats("loss", logits.capacity());
  logits.set_grad(kernels::cross_entropy(tape.stream(), loss, tape.dtype(),
                                         {.logits = logits.view(),
                                          .bias = bias.vector(),
                                          .classes = classes,
                                          .targets = targets,
                                          .scale = scale}));
  tape.on_backward("cross_entropy", logits, [=, &tape, &bias] {
    const Partials sums = tape.partials(kernels::partial_blocks(logits.capacity()), 1, logits.cols());
    kernels::partial_sums(tape.stream(), sums.data, logits.grad());
    tape.reduce(sums, {&bias});
  });
  return loss;
}

}  // namespace warpbert

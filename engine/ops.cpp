#include "ops.h"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

#include "ranges.h"

namespace warpbert {

using kernels::ColumnSum;

template <class F>
static void visit(DType dtype, F f) {
  if (dtype == DType::bf16) f(bf16{});
  else f(float{});
}

// Part k of partial sums [blocks, parts, columns], reduced into a vector's gradient.
static ColumnSum column_sum(Parameter& vector, const float* partials, int blocks, int parts, int k) {
  return {vector.grad,        partials + size_t(k) * vector.rows, blocks, parts * vector.rows, vector.rows,
          vector.accumulate()};
}

static void expect(bool ok, const char* op, const std::string& shapes) {
  if (!ok) throw std::invalid_argument(fmt::format("{}: {}", op, shapes));
}

static Matrix matrix(const Parameter& p) { return {p.value, p.dtype, p.rows, p.cols, p.cols}; }
static Matrix grad_matrix(const Parameter& p) { return {p.grad, DType::f32, p.rows, p.cols, p.cols}; }

// ---- linear -----------------------------------------------------------------------------------------------
static Tensor multiply(Tape& tape, Tensor x, Parameter& weight, DType dtype, const char* name) {
  const Range range(name, Category::forward);
  expect(x.cols() == weight.cols, "linear",
         fmt::format("{} [{}, {}] by {} [{}, {}]", x.name(), x.capacity(), x.cols(), weight.pieces[0].name,
                     weight.rows, weight.cols));
  x.read(name);
  Tensor y = tape.tensor(name, x.rows(), weight.rows, dtype);
  tape.gemm().multiply(y.matrix(), x.matrix(), false, matrix(weight), true, false);
  tape.on_backward(name, y, [=, &tape, &weight] {
    tape.fork();
    tape.branch_gemm().multiply(grad_matrix(weight), y.grad_matrix(), true, x.matrix(), false,
                                weight.accumulate());
    tape.gemm().multiply(x.grad_matrix(), y.grad_matrix(), false, matrix(weight), false, x.accumulate());
    tape.weight_gradient_done(weight);
  });
  return y;
}

Tensor linear(Tape& tape, Tensor x, Parameter& weight, const char* name) {
  return multiply(tape, x, weight, tape.dtype(), name);
}
Tensor linear_f32(Tape& tape, Tensor x, Parameter& weight, const char* name) {
  return multiply(tape, x, weight, DType::f32, name);
}

// ---- gelu -------------------------------------------------------------------------------------------------
Tensor gelu(Tape& tape, Tensor x, Parameter& bias) {
  const Range range("gelu", Category::forward);
  expect(bias.rows == x.cols(), "gelu", fmt::format("{} columns, {} biases", x.cols(), bias.rows));
  x.read_alone("gelu");
  Tensor y = tape.like("gelu", x);
  visit(x.dtype(), [&]<class T>(T) {
    kernels::bias_gelu_forward<T>(tape.stream(), y.data<T>(), x.data<T>(), bias.master, x.rows(), x.cols());
  });
  tape.on_backward("gelu", y, [=, &tape, &bias] {
    const int blocks = kernels::column_blocks(x.capacity());
    float* partials = tape.floats("column sums", size_t(blocks) * x.cols());
    x.accumulate();
    visit(x.dtype(), [&]<class T>(T) {
      kernels::bias_gelu_backward<T>(tape.stream(), x.grad<T>(), partials, y.grad<T>(), x.data<T>(),
                                     bias.master, x.rows(), x.cols());
    });
    tape.finish({column_sum(bias, partials, blocks, 1, 0)});
  });
  return y;
}

// ---- layer norm -------------------------------------------------------------------------------------------
Tensor layer_norm(Tape& tape, Tensor x, const Norm& norm, kernels::Dropout dropout) {
  const Range range("layer_norm", Category::forward);
  expect(norm.gamma->rows == x.cols(), "layer_norm",
         fmt::format("{} columns, {} gains", x.cols(), norm.gamma->rows));
  x.read("layer_norm");
  Tensor y = tape.like("layer_norm", x);
  float *mean = tape.floats("row statistics", x.capacity()),
        *rstd = tape.floats("row statistics", x.capacity());
  visit(x.dtype(), [&]<class T>(T) {
    kernels::layer_norm_forward<T>(tape.stream(), y.data<T>(), mean, rstd, x.data<T>(), norm.gamma->master,
                                   norm.beta->master, norm.epsilon, dropout, x.rows(), x.cols());
  });
  tape.on_backward("layer_norm", y, [=, &tape] {
    const int blocks = kernels::norm_blocks(x.capacity());
    float* partials = tape.floats("column sums", size_t(blocks) * 2 * x.cols());
    const bool accumulate = x.accumulate();
    visit(x.dtype(), [&]<class T>(T) {
      kernels::layer_norm_backward<T>(tape.stream(), x.grad<T>(), accumulate, partials, y.grad<T>(),
                                      x.data<T>(), mean, rstd, norm.gamma->master, dropout, x.rows(),
                                      x.cols());
    });
    tape.finish(
        {column_sum(*norm.gamma, partials, blocks, 2, 0), column_sum(*norm.beta, partials, blocks, 2, 1)});
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
  float *mean = tape.floats("row statistics", x.capacity()),
        *rstd = tape.floats("row statistics", x.capacity());
  visit(x.dtype(), [&]<class T>(T) {
    T* h = x.data<T>();  // in place: backward needs only the sum
    kernels::add_dropout_norm_forward<T>(tape.stream(), y.data<T>(), h, mean, rstd, x.data<T>(), bias.master,
                                         residual.data<T>(), norm.gamma->master, norm.beta->master,
                                         norm.epsilon, dropout, x.rows(), x.cols());
  });
  tape.on_backward("add_dropout_norm", y, [=, &tape, &bias] {
    const int blocks = kernels::norm_blocks(x.capacity());
    float* partials = tape.floats("column sums", size_t(blocks) * 3 * x.cols());
    x.accumulate();
    const bool accumulate = residual.accumulate();
    visit(x.dtype(), [&]<class T>(T) {
      kernels::add_dropout_norm_backward<T>(tape.stream(), x.grad<T>(), residual.grad<T>(), accumulate,
                                            partials, y.grad<T>(), x.data<T>(), mean, rstd,
                                            norm.gamma->master, dropout, x.rows(), x.cols());
    });
    tape.finish({column_sum(*norm.gamma, partials, blocks, 3, 0),
                 column_sum(*norm.beta, partials, blocks, 3, 1), column_sum(bias, partials, blocks, 3, 2)});
  });
  return y;
}

// ---- embedding --------------------------------------------------------------------------------------------
Tensor embedding(Tape& tape, const Packing& batch, Parameter& word, Parameter& position, Parameter& segment) {
  const Range range("embedding", Category::forward);
  const int hidden = word.cols;
  expect(position.cols == hidden && segment.cols == hidden && batch.max_length <= position.rows, "embedding",
         fmt::format("tables of {}, {} and {} columns, sequences to {} tokens, {} positions", hidden,
                     position.cols, segment.cols, batch.max_length, position.rows));
  Tensor y = tape.tensor("embedding", batch.rows, hidden);
  visit(y.dtype(), [&]<class T>(T) {
    kernels::embedding_forward<T>(tape.stream(), y.data<T>(), batch.ids, batch.positions, word.values<T>(),
                                  position.values<T>(), segment.values<T>(), batch.rows, hidden);
  });
  tape.on_backward("embedding", y, [=, &tape, &word, &position, &segment] {
    const int capacity = batch.rows.capacity, blocks = kernels::column_blocks(capacity);
    float* workspace = tape.floats("embedding workspace", kernels::embedding_workspace(capacity, hidden));
    float* partials = tape.floats("column sums", size_t(blocks) * hidden);
    // The kernel only adds: other rows must be zero, unless the tied head has written them.
    tape.join();
    if (!word.accumulate()) tape.device().zero(word.grad, word.size * sizeof(float));
    const bool positions_written = position.accumulate();
    if (!segment.accumulate()) tape.device().zero(segment.grad, segment.size * sizeof(float));
    visit(y.dtype(), [&]<class T>(T) {
      const T* dy = y.grad<T>();
      kernels::embedding_backward_word<T>(tape.stream(), word.grad, workspace, dy, batch.ids, batch.order,
                                          batch.rows, hidden);
      kernels::embedding_backward_position<T>(tape.stream(), position.grad, dy, batch.starts, batch.sequences,
                                              position.rows, hidden, positions_written);
      kernels::column_sums<T>(tape.stream(), partials, dy, hidden, batch.rows, hidden);
    });
    tape.finish({{segment.grad, partials, blocks, hidden, hidden, true}});
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
  const int head_size = hidden / heads, capacity = qkv.capacity();
  qkv.read_alone("attention");
  Tensor out = tape.tensor("attention", qkv.rows(), hidden);
  out.read("attention");  // read again in backward
  float* lse = tape.floats("attention log-sum-exp", size_t(heads) * capacity);
  visit(qkv.dtype(), [&]<class T>(T) {
    kernels::attention_forward<T>(tape.stream(), out.data<T>(), lse, qkv.data<T>(), bias.master, batch.starts,
                                  batch.sequences, batch.max_length, heads, head_size, batch.max_positions,
                                  dropout, qkv.rows());
  });
  tape.on_backward("attention", out, [=, &tape, &bias] {
    const int blocks = kernels::column_blocks(capacity);
    float* partials = tape.floats("column sums", size_t(blocks) * qkv.cols());
    qkv.accumulate();
    visit(qkv.dtype(), [&]<class T>(T) {
      kernels::attention_backward<T>(tape.stream(), qkv.grad<T>(), out.grad<T>(), out.data<T>(), lse,
                                     qkv.data<T>(), bias.master, batch.starts, batch.sequences,
                                     batch.max_length, heads, head_size, batch.max_positions, dropout,
                                     qkv.rows());
      kernels::column_sums<T>(tape.stream(), partials, qkv.grad<T>(), qkv.cols(), qkv.rows(), qkv.cols());
    });
    tape.finish({column_sum(bias, partials, blocks, 1, 0)});
  });
  return out;
}

// ---- gather -----------------------------------------------------------------------------------------------
Tensor gather(Tape& tape, Tensor x, const int* index, kernels::Rows targets) {
  const Range range("gather", Category::forward);
  x.read("gather");
  Tensor y = tape.tensor("gather", targets, x.cols());
  visit(x.dtype(), [&]<class T>(T) {
    kernels::gather_rows<T>(tape.stream(), y.data<T>(), x.data<T>(), index, targets, x.cols());
  });
  tape.on_backward("gather", y, [=, &tape] {
    const bool accumulate = x.accumulate();
    visit(x.dtype(), [&]<class T>(T) {
      kernels::scatter_rows<T>(tape.stream(), x.grad<T>(), accumulate, y.grad<T>(), index, targets, x.rows(),
                               x.cols());
    });
  });
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
  visit(tape.dtype(), [&]<class T>(T) {
    kernels::cross_entropy<T>(tape.stream(), loss, logits.data<float>(), bias.master, targets, scale,
                              logits.rows(), classes, logits.cols());
  });
  logits.set_grad(logits.data<void>(), tape.dtype(),
                  logits.cols() * int(sizeof(float) / size_of(tape.dtype())));
  tape.on_backward("cross_entropy", logits, [=, &tape, &bias] {
    const int blocks = kernels::column_blocks(logits.capacity());
    float* partials = tape.floats("column sums", size_t(blocks) * logits.cols());
    visit(tape.dtype(), [&]<class T>(T) {
      kernels::column_sums<T>(tape.stream(), partials, logits.grad<T>(), logits.grad_matrix().ld,
                              logits.rows(), logits.cols());
    });
    tape.finish({column_sum(bias, partials, blocks, 1, 0)});
  });
  return loss;
}

}  // namespace warpbert

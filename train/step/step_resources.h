// Resources that one model's training and scoring steps share.
#pragma once
#include "engine/arena.h"
#include "engine/gemm.h"
#include "engine/graph_cache.h"
#include "model/bert.h"

namespace warpbert {

struct StepResources {
  StepResources(Device& device, Bert& bert, Precision precision, bool use_graphs = true)
      : device(device),
        bert(bert),
        dtype(precision == Precision::bf16 ? DType::bf16 : DType::f32),
        gemm(device, precision),
        side_gemm(device, precision, device.side_stream()),
        arena(device),
        graphs(device) {
    graphs.enable(use_graphs);
  }
  StepResources(const StepResources&) = delete;

  Device& device;
  Bert& bert;
  DType dtype;  // of activations
  Gemm gemm, side_gemm;
  Arena arena;
  GraphCache graphs;
};

}  // namespace warpbert

// Host copies of arrays, with named views for io's writers.
#pragma once
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "engine/parameters.h"
#include "io/array.h"

namespace warpbert {

struct HostArrays {
  std::deque<std::vector<float>> values;
  std::vector<io::ArrayView> views;

  void add(std::string name, std::vector<int64_t> shape, std::vector<float> array) {
    values.push_back(std::move(array));
    views.push_back(io::view(std::move(name), std::move(shape), values.back()));
  }
  // All arrays of `store`, from master weights or a buffer of their layout.
  void add(const ParameterStore& store, const float* buffer, const std::string& prefix = "") {
    for (const auto& array : store.named())
      add(prefix + array.name, {array.shape.begin(), array.shape.end()}, store.download(buffer, array));
  }
};

}  // namespace warpbert

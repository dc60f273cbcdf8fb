// Between runtime.cpp and cublaslt.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <utility>

#include "simt/cpu/stream.h"

// Whether these are bytes of one block of device or managed memory.
bool on_device(const void* p, size_t bytes);

// The block of device or managed memory with this address, and its size; null if there is none. For running work.
std::pair<const char*, size_t> device_block(const void* p);

// Whether the stream is being recorded, and a call that CUDA forbids there has made the recording worthless.
bool is_spoilt(cudaStream_t stream);

// Sends work to a stream. The default stream, in which only tests of kernels work, runs it at once.
void send(cudaStream_t stream, std::function<void()> work);

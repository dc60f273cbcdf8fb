// Between runtime.cpp and cublaslt.cpp.
#pragma once
#include <cuda_runtime_api.h>

#include <functional>

#include "kernels/simt_stream.h"

// Whether these are bytes of one block of device or managed memory.
bool on_device(const void* p, size_t bytes);

// Sends work to a stream. The default stream, in which only tests of kernels work, runs it at once.
void send(cudaStream_t stream, std::function<void()> work);

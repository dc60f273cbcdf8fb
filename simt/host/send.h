// Memory and streams of the fake runtime (runtime.cpp).
#pragma once
#include <cuda_runtime_api.h>

#include <functional>
#include <utility>

#include "simt/cpu/stream.h"

// True if one allocation of device or managed memory contains these bytes.
bool on_device(const void* p, size_t bytes);

// The device or managed allocation that contains p, and its size; null if none. Unlocked: for running work.
std::pair<const char*, size_t> device_block(const void* p);

// True if the stream is capturing and a forbidden call has invalidated the capture.
bool is_invalidated(cudaStream_t stream);

// Sends work to a stream. The default stream, used only by kernel tests, runs it at once.
void send(cudaStream_t stream, std::function<void()> work);

#include "engine/ranges.h"

#include <cuda_profiler_api.h>
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>
#include <unistd.h>

#include <mutex>
#include <unordered_map>

namespace warpbert {

namespace {

struct Domain {
  nvtxDomainHandle_t handle = nvtxDomainCreateA("warpbert");
  std::mutex mutex;
  std::unordered_map<const char*, nvtxStringHandle_t> strings;

  Domain() {
    const char* names[] = {"data", "forward", "backward", "optimizer", "evaluation", "io"};
    for (int i = 0; i < 6; i++) nvtxDomainNameCategoryA(handle, uint32_t(i) + 1, names[i]);
  }
  nvtxStringHandle_t string(const char* name) {
    std::lock_guard lock(mutex);
    nvtxStringHandle_t& s = strings[name];
    if (!s) s = nvtxDomainRegisterStringA(handle, name);
    return s;
  }
};

Domain& domain() {
  static Domain domain;
  return domain;
}

uint32_t color(Category category) {
  constexpr uint32_t colors[] = {0xff888888, 0xff4477aa, 0xffee8833, 0xff449944, 0xff8855aa, 0xff996644};
  return colors[int(category) - 1];
}

}  // namespace

Range::Range(const char* name, Category category, int64_t payload) {
  nvtxEventAttributes_t a{};
  a.version = NVTX_VERSION, a.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  a.category = uint32_t(category);
  a.colorType = NVTX_COLOR_ARGB, a.color = color(category);
  a.messageType = NVTX_MESSAGE_TYPE_REGISTERED, a.message.registered = domain().string(name);
  a.payloadType = NVTX_PAYLOAD_TYPE_INT64, a.payload.llValue = payload;
  nvtxDomainRangePushEx(domain().handle, &a);
}

Range::~Range() { nvtxDomainRangePop(domain().handle); }

void name_thread(const char* name) { nvtxNameOsThreadA(uint32_t(gettid()), name); }

void profiler_start() {
  cudaDeviceSynchronize();
  cudaProfilerStart();
}

void profiler_stop() {
  cudaDeviceSynchronize();
  cudaProfilerStop();
}

}  // namespace warpbert

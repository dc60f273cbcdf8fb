#include "engine/ranges.h"

namespace warpbert {
Range::Range(const char*, Category, int64_t) {}
Range::~Range() {}
void name_thread(const char*) {}
void profiler_start() {}
void profiler_stop() {}
}  // namespace warpbert

#include "nccl.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <stdexcept>
#include <type_traits>

namespace warpbert {

static Nccl load() {
  // NCCL would register buffers of captured calls, for which all ranks must capture at once;
  // ours capture when their own batches need it.
  setenv("NCCL_GRAPH_REGISTER", "0", 0);
  void* const library = dlopen("libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
  const auto fail = [] {
    throw std::runtime_error(
        fmt::format("NCCL cannot be loaded, which several processes on GPUs need: {}; install libnccl2, or "
                    "add the folder of libnccl.so.2 to LD_LIBRARY_PATH",
                    dlerror()));
  };
  if (!library) fail();
  Nccl nccl;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    if (!function) fail();
  };
  find(nccl.error_string, "ncclGetErrorString");
  find(nccl.unique_id, "ncclGetUniqueId");
  find(nccl.init, "ncclCommInitRank");
  find(nccl.async_error, "ncclCommGetAsyncError");
  find(nccl.group_start, "ncclGroupStart");
  find(nccl.group_end, "ncclGroupEnd");
  find(nccl.send, "ncclSend");
  find(nccl.receive, "ncclRecv");
  find(nccl.broadcast, "ncclBroadcast");
  find(nccl.all_reduce, "ncclAllReduce");
  return nccl;
}

const Nccl& load_nccl() {
  static const Nccl nccl = load();
  return nccl;
}

}  // namespace warpbert

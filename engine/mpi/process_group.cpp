// Processes by MPI; device memory is the simulator's, which MPI reads like any other.
#include "engine/process_group.h"

#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

#include "simt/cpu/stream.h"

namespace warpbert {
namespace {

// Values are sent as 32-bit words, so that a count, an int, covers 8 GiB.
const MPI_Datatype word = MPI_INT32_T;
int words(size_t bytes) { return int(bytes / 4); }

// Waits in turns with other processes of this machine.
void wait(std::vector<MPI_Request> requests, int limit, double& waited) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point begin = Clock::now();
  double seconds = 0;
  for (int done = 0;; std::this_thread::yield()) {
    MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (done) break;
    if (limit && seconds > limit)
      throw std::runtime_error(
          fmt::format("it has waited {} s for the other processes, one of which is gone or hangs; the same "
                      "command resumes the run; run.wait_seconds sets the limit",
                      limit));
  }
  waited += seconds;
}

bool has_launcher() {
  constexpr std::array variables = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
  return std::any_of(variables.begin(), variables.end(), [](const char* name) { return std::getenv(name); });
}

}  // namespace

ProcessGroup::ProcessGroup() {
  if (!has_launcher()) return;
  int level = 0, length = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);  // errors end the process, the default
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
  MPI_Get_processor_name(host.data(), &length);
  host_.assign(host.data(), size_t(length));
}

ProcessGroup::~ProcessGroup() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised) MPI_Finalize();
}

std::string ProcessGroup::name() const {
  return size_ == 1 ? "" : fmt::format("rank {} of {} on {}", rank_, size_, host_);
}

uint32_t ProcessGroup::any(uint32_t flags) {
  if (size_ == 1) return flags;
  MPI_Request request;
  MPI_Iallreduce(MPI_IN_PLACE, &flags, 1, MPI_UINT32_T, MPI_BOR, MPI_COMM_WORLD, &request);
  wait({request}, wait_limit_, waited_);
  return flags;
}

std::string ProcessGroup::broadcast(const std::string& text) {
  if (size_ == 1) return text;
  std::string copy = text;
  auto length = uint64_t(copy.size());
  MPI_Request request;
  MPI_Ibcast(&length, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD, &request);
  wait({request}, wait_limit_, waited_);
  copy.resize(length);
  MPI_Ibcast(copy.data(), int(length), MPI_CHAR, 0, MPI_COMM_WORLD, &request);
  wait({request}, wait_limit_, waited_);
  return copy;
}

std::vector<std::string> ProcessGroup::gather(const std::string& text) {
  if (size_ == 1) return {text};
  const auto n = size_t(size_);
  std::vector<int> lengths(n), begins(n);
  const int length = int(text.size());
  MPI_Request request;
  MPI_Iallgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
  wait({request}, wait_limit_, waited_);
  int total = 0;
  for (size_t r = 0; r < n; r++) begins[r] = total, total += lengths[r];
  std::string all(size_t(total), '\0');
  MPI_Iallgatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), begins.data(), MPI_CHAR,
                  MPI_COMM_WORLD, &request);
  wait({request}, wait_limit_, waited_);
  std::vector<std::string> texts;
  for (size_t r = 0; r < n; r++) texts.push_back(all.substr(size_t(begins[r]), size_t(lengths[r])));
  return texts;
}

void ProcessGroup::abort(int code) {
  if (size_ > 1) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

void ProcessGroup::exchange(kernels::Stream stream, std::vector<Transfer> send,
                            std::vector<Transfer> receive) {
  if (size_ == 1) return;
  simt::enqueue(stream, [this, send = std::move(send), receive = std::move(receive)] {
    std::vector<MPI_Request> requests(send.size() + receive.size());
    MPI_Request* next = requests.data();
    for (const Transfer& t : receive)
      MPI_Irecv(t.data, words(t.bytes), word, t.peer, 0, MPI_COMM_WORLD, next++);
    for (const Transfer& t : send) MPI_Isend(t.data, words(t.bytes), word, t.peer, 0, MPI_COMM_WORLD, next++);
    wait(std::move(requests), wait_limit_, waited_);
  });
}

void ProcessGroup::all_gather(kernels::Stream stream, void* data, std::vector<size_t> bounds) {
  if (size_ == 1) return;
  simt::enqueue(stream, [this, data, bounds = std::move(bounds)] {
    const auto n = size_t(size_);
    std::vector<int> counts(n), begins(n);
    for (size_t r = 0; r < n; r++) begins[r] = words(bounds[r]), counts[r] = words(bounds[r + 1] - bounds[r]);
    MPI_Request request;
    MPI_Iallgatherv(MPI_IN_PLACE, 0, word, data, counts.data(), begins.data(), word, MPI_COMM_WORLD,
                    &request);
    wait({request}, wait_limit_, waited_);
  });
}

void ProcessGroup::all_reduce_min(kernels::Stream stream, int* value) {
  if (size_ == 1) return;
  simt::enqueue(stream, [=, this] {
    MPI_Request request;
    MPI_Iallreduce(MPI_IN_PLACE, value, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
    wait({request}, wait_limit_, waited_);
  });
}

}  // namespace warpbert

#include "engine/process_group.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <utility>

#include "wait.h"

namespace warpbert {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// A rank that has waited too long asks the others; silent ones are gone, hang, or compute.
enum Tag { question = 1, answer };

void answer_questions() {
  for (;;) {
    int asked = 0;
    MPI_Status from;
    MPI_Iprobe(MPI_ANY_SOURCE, question, MPI_COMM_WORLD, &asked, &from);
    if (!asked) return;
    MPI_Recv(nullptr, 0, MPI_CHAR, from.MPI_SOURCE, question, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    MPI_Request sent;
    MPI_Isend(nullptr, 0, MPI_CHAR, from.MPI_SOURCE, answer, MPI_COMM_WORLD, &sent);
    MPI_Request_free(&sent);
  }
}

// Ranks that do not answer within two seconds.
std::vector<std::string> silent_ranks(const ProcessGroup& group) {
  const int rank = group.rank(), size = group.size();
  std::vector<MPI_Request> answers(size_t(size), MPI_REQUEST_NULL);
  for (int r = 0; r < size; r++) {
    if (r == rank) continue;
    MPI_Request sent;
    MPI_Isend(nullptr, 0, MPI_CHAR, r, question, MPI_COMM_WORLD, &sent);
    MPI_Request_free(&sent);
    MPI_Irecv(nullptr, 0, MPI_CHAR, r, answer, MPI_COMM_WORLD, &answers[size_t(r)]);
  }
  int all = 0;
  for (const Clock::time_point begin = Clock::now(); !all && seconds_since(begin) < 2;) {
    answer_questions();
    MPI_Testall(size, answers.data(), &all, MPI_STATUSES_IGNORE);
    std::this_thread::yield();
  }
  std::vector<std::string> silent;
  for (int r = 0; r < size; r++)
    if (answers[size_t(r)] != MPI_REQUEST_NULL) {
      int done = 0;
      MPI_Test(&answers[size_t(r)], &done, MPI_STATUS_IGNORE);
      if (!done) silent.push_back(group.name(r));
    }
  return silent;
}

bool has_launcher() {
  constexpr std::array variables = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
  return std::any_of(variables.begin(), variables.end(), [](const char* name) { return std::getenv(name); });
}

}  // namespace

void wait(const ProcessGroup& group, std::vector<MPI_Request> requests, int limit, double& waited) {
  const Clock::time_point begin = Clock::now();
  for (int done = 0;; std::this_thread::yield()) {
    MPI_Testall(int(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done) break;
    answer_questions();
    check_devices();
    if (!limit || seconds_since(begin) < limit) continue;
    const std::vector<std::string> silent = silent_ranks(group);
    throw std::runtime_error(fmt::format(
        "it has waited {} s for {}; the same command resumes the run; run.wait_seconds sets the limit", limit,
        silent.empty() ? "other processes, which wait too"
                       : fmt::format("{}: no answer", fmt::join(silent, ", "))));
  }
  waited += seconds_since(begin);
}

ProcessGroup::ProcessGroup() {
  if (!has_launcher()) {
    if (const char* tasks = std::getenv("SLURM_STEP_NUM_TASKS"); tasks && std::atoi(tasks) > 1)
      throw std::runtime_error(fmt::format(
          "srun started {} processes that do not know each other; start them by srun --mpi=pmix", tasks));
    return;
  }
  int level = 0, length = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level);  // errors end the process, the default
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  std::array<char, MPI_MAX_PROCESSOR_NAME> host{};
  MPI_Get_processor_name(host.data(), &length);
  hosts_ = gather(std::string(host.data(), size_t(length)));
  MPI_Comm neighbours;
  MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &neighbours);
  MPI_Comm_rank(neighbours, &local_rank_);
  MPI_Comm_free(&neighbours);
}

ProcessGroup::~ProcessGroup() {
  int initialised = 0;
  MPI_Initialized(&initialised);
  if (initialised) MPI_Finalize();
}

std::string ProcessGroup::name(int rank) const {
  return size_ == 1 ? "" : fmt::format("rank {} of {} on {}", rank, size_, hosts_[size_t(rank)]);
}

uint32_t ProcessGroup::any(uint32_t flags) {
  if (size_ == 1) return flags;
  MPI_Request request;
  MPI_Iallreduce(MPI_IN_PLACE, &flags, 1, MPI_UINT32_T, MPI_BOR, MPI_COMM_WORLD, &request);
  wait(*this, {request}, wait_limit_, waited_);
  return flags;
}

std::string ProcessGroup::broadcast(const std::string& text) {
  if (size_ == 1) return text;
  std::string copy = text;
  auto length = uint64_t(copy.size());
  MPI_Request request;
  MPI_Ibcast(&length, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD, &request);
  wait(*this, {request}, wait_limit_, waited_);
  copy.resize(length);
  MPI_Ibcast(copy.data(), int(length), MPI_CHAR, 0, MPI_COMM_WORLD, &request);
  wait(*this, {request}, wait_limit_, waited_);
  return copy;
}

std::vector<std::string> ProcessGroup::gather(const std::string& text) {
  if (size_ == 1) return {text};
  const auto n = size_t(size_);
  std::vector<int> lengths(n), begins(n);
  const int length = int(text.size());
  MPI_Request request;
  MPI_Iallgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD, &request);
  wait(*this, {request}, wait_limit_, waited_);
  int total = 0;
  for (size_t r = 0; r < n; r++) begins[r] = total, total += lengths[r];
  std::string all(size_t(total), '\0');
  MPI_Iallgatherv(text.data(), length, MPI_CHAR, all.data(), lengths.data(), begins.data(), MPI_CHAR,
                  MPI_COMM_WORLD, &request);
  wait(*this, {request}, wait_limit_, waited_);
  std::vector<std::string> texts;
  for (size_t r = 0; r < n; r++) texts.push_back(all.substr(size_t(begins[r]), size_t(lengths[r])));
  return texts;
}

void ProcessGroup::abort(int code) {
  if (size_ > 1) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace warpbert

// Compares writing a checkpoint with dd on the same file system.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/timer.hpp"
#include "commands/bench.hpp"
#include "commands/bench_io.hpp"
#include "data/sampler.hpp"
#include "io/checkpoint_file.hpp"

namespace trireme {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t arrays_in_all = 64;

/// A barrier that sleeps while it waits. A spinning barrier would take cores away from the benchmark.
void wait_asleep(const Communicator& comm) {
  MPI_Request handle = MPI_REQUEST_NULL;
  TRIREME_MPI(MPI_Ibarrier(comm.handle(), &handle));
  for (Request request(handle); !request.done();) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// `dd if=/dev/zero of=FILE bs=1M count=N conv=fsync`; returns seconds.
double run_dd(const fs::path& file, std::int64_t mebibytes) {
  std::string words[] = {"dd", "if=/dev/zero", "of=" + file.string(), "bs=1M", "count=" + std::to_string(mebibytes), "conv=fsync", "status=none"};
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const Timer timer;
  pid_t child = 0;
  if (const int error = ::posix_spawnp(&child, "dd", nullptr, nullptr, arguments.data(), environ); error != 0)
    throw internal_error("bench io: cannot start dd: {}", std::generic_category().message(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) throw internal_error("bench io: cannot wait for dd: {}", std::generic_category().message(errno));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw internal_error("bench io: dd into '{}' failed", file.string());
  return timer.seconds();
}

}  // namespace

Contest checkpoint_contest(const Communicator& comm, const fs::path& folder, std::int64_t bytes, int runs, std::int64_t& written) {
  // Each rank holds only its part of the arrays, so that together the ranks need the memory only once.
  const std::int64_t count = std::max<std::int64_t>(bytes / (arrays_in_all * 4), 1), row = std::min<std::int64_t>(count, 2048),
                     rows = std::max<std::int64_t>(count / row, 1);
  const Share mine = share_of(arrays_in_all, comm.rank(), comm.size());
  std::vector<float> state;
  comm.together([&] {
    state.resize(static_cast<std::size_t>(mine.count * rows * row));
    RandomStream random(2, static_cast<std::uint64_t>(comm.rank()));
    for (std::size_t i = 0; i < state.size(); ++i) state[i] = i < 65536 ? static_cast<float>(random.uniform(-1, 1)) : state[i - 65536];
  });
  std::vector<CheckpointArray> arrays;
  for (std::int64_t a = 0; a < arrays_in_all; ++a) {
    const bool held = a >= mine.first && a < mine.first + mine.count;
    arrays.push_back({"model/layer" + std::to_string(a) + ".weight", Shape{rows, row}, false, held ? state.data() + (a - mine.first) * rows * row : nullptr});
  }
  const CheckpointContent content{"[run]\nname = bench\n", {{"step", 1}}, {}};
  const fs::path checkpoint = folder / "step-00000001.h5", copy = folder / "dd.bin";

  Contest contest;
  for (int i = -1; i < runs; ++i) {  // the first run is a warmup
    const double seconds = timed(comm, [&] { written = write_checkpoint(checkpoint, arrays, content, comm.handle()); });
    std::string failure;
    double plain = 0;
    if (comm.rank() == 0) {
      std::error_code ignored;
      fs::remove(checkpoint, ignored);
      try {
        plain = run_dd(copy, (written + (1 << 20) - 1) >> 20);
      } catch (const Error& error) {
        failure = error.what();
      }
      fs::remove(copy, ignored);
    }
    wait_asleep(comm);
    failure = comm.broadcast(failure);
    if (!failure.empty()) throw Error(ExitCode::internal, failure);
    if (i < 0) continue;
    contest.trireme.push_back(seconds);
    contest.plain.push_back(comm.all_reduce(plain, MPI_MAX));
  }
  return contest;
}

}  // namespace trireme

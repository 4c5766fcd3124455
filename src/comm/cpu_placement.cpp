#include "comm/cpu_placement.hpp"

#include <fmt/ranges.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/log.hpp"
#include "comm/environment.hpp"

namespace trireme {

namespace {

constexpr std::size_t words = CpuMask{}.size() / (8 * sizeof(unsigned long));
unsigned long remembered[words];
bool is_remembered = false;

bool ask(unsigned long* mask) {
  std::memset(mask, 0, words * sizeof(unsigned long));
  return sched_getaffinity(0, words * sizeof(unsigned long), reinterpret_cast<cpu_set_t*>(mask)) == 0;
}

CpuMask as_mask(const unsigned long* mask) {
  CpuMask found;
  for (std::size_t cpu = 0; cpu < found.size(); ++cpu)
    if ((mask[cpu / (8 * sizeof(unsigned long))] >> (cpu % (8 * sizeof(unsigned long)))) & 1ul) found.set(cpu);
  return found;
}

CpuMask launch_mask() { return is_remembered ? as_mask(remembered) : cpu_mask(); }

std::string list(const CpuMask& mask) {
  std::string text;
  for (std::size_t cpu = 0, shown = 0; cpu < mask.size(); ++cpu) {
    if (!mask[cpu]) continue;
    if (++shown > 8) return text + ", ...";
    text += fmt::format("{}{}", text.empty() ? "" : ", ", cpu);
  }
  return text;
}

template <class Value>
std::vector<Value> gather_on_node(MPI_Comm node, const Value& mine) {
  int ranks = 1;
  TRIREME_MPI(MPI_Comm_size(node, &ranks));
  std::vector<Value> all(static_cast<std::size_t>(ranks));
  TRIREME_MPI(MPI_Allgather(&mine, sizeof(Value), MPI_BYTE, all.data(), sizeof(Value), MPI_BYTE, node));
  return all;
}

class NodeRanks {
 public:
  explicit NodeRanks(const Communicator& world) { TRIREME_MPI(MPI_Comm_split_type(world.handle(), MPI_COMM_TYPE_SHARED, world.rank(), MPI_INFO_NULL, &comm_)); }
  ~NodeRanks() { MPI_Comm_free(&comm_); }
  NodeRanks(const NodeRanks&) = delete;
  NodeRanks& operator=(const NodeRanks&) = delete;
  MPI_Comm handle() const { return comm_; }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

}  // namespace

CpuMask cpu_mask() {
  unsigned long mask[words];
  return ask(mask) ? as_mask(mask) : CpuMask{}.set(0);
}

void remember_launch_mask() {
  if (!is_remembered) is_remembered = ask(remembered);
}

int fair_threads(std::span<const CpuMask> of_ranks, std::size_t mine) {
  double share = 0;
  for (std::size_t cpu = 0; cpu < of_ranks[mine].size(); ++cpu)
    if (of_ranks[mine][cpu]) share += 1.0 / static_cast<double>(std::ranges::count_if(of_ranks, [&](const CpuMask& mask) { return mask[cpu]; }));
  return std::max(1, static_cast<int>(share + 1e-6));
}

std::string crowded_text(std::span<const RankCpus> ranks, int first, const std::string& host, int machine) {
  std::vector<bool> done(ranks.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    if (done[r]) continue;
    // All ranks that share cores with it, directly or through others.
    CpuMask used = ranks[r].used, launched;
    std::vector<std::size_t> group;
    for (bool grows = true; grows;) {
      grows = false;
      for (std::size_t other = r; other < ranks.size(); ++other)
        if (!done[other] && (ranks[other].used & used).any()) done[other] = grows = true, used |= ranks[other].used, group.push_back(other);
    }
    int threads = 0, most = 0;
    std::vector<int> numbers;
    for (const std::size_t member : group) {
      launched |= ranks[member].launched;
      threads += ranks[member].threads;
      most = std::max(most, ranks[member].threads);
      numbers.push_back(first + static_cast<int>(member));
    }
    const auto cores = static_cast<int>(used.count());
    if (threads <= cores) continue;
    const bool bound = launched.count() > used.count();
    if (!bound && most == 1 && cores >= machine) continue;  // more ranks than cores in the machine, with one thread each: deliberate
    const bool several = numbers.size() > 1;
    const std::string who = numbers.size() > 8 ? fmt::format("{} ranks from {} on", numbers.size(), numbers.front())
                                               : fmt::format("{} {}", several ? "ranks" : "rank", fmt::join(numbers, ", "));
    return fmt::format("{} on {}: {} threads share {} core(s) ({}){}, which slows them down. Hint: {}", who, host, threads, cores, list(used),
                       bound ? fmt::format(" of {} assigned by the launcher", launched.count()) : std::string(),
                       bound && several ? "let the launcher bind each rank to its own cores (mpiexec -bind-to core, srun --cpu-bind=cores), or set "
                                          "OMP_PROC_BIND=false"
                       : bound          ? "set OMP_PROC_BIND=false, or OMP_PLACES=cores"
                       : cores < machine && several && most == 1
                           ? "let the launcher bind each rank to its own cores (mpiexec -bind-to core, srun --cpu-bind=cores)"
                           : "use fewer threads (OMP_NUM_THREADS), or fewer ranks per node");
  }
  return {};
}

CpuPlacement::CpuPlacement(const Communicator& world) : world_(world) {
  const NodeRanks node(world);
  launched_ = gather_on_node(node.handle(), launch_mask());
  TRIREME_MPI(MPI_Comm_rank(node.handle(), &place_));
}

void CpuPlacement::settle(const CpuMask& used, int threads) {
  const NodeRanks node(world_);
  const auto ranks = gather_on_node(node.handle(), RankCpus{launched_[static_cast<std::size_t>(place_)], used, threads});
  CpuMask all;
  for (const RankCpus& rank : ranks) all |= rank.used;
  std::string text;
  if (place_ == 0) {
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    text = crowded_text(ranks, world_.rank(), host.data(), static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
  }
  cores_ = world_.all_reduce(place_ == 0 ? static_cast<std::int64_t>(all.count()) : std::int64_t{0});
  const auto texts = world_.gather(text);
  if (world_.rank() != 0) return;
  const auto crowded = std::ranges::count_if(texts, [](const std::string& one) { return !one.empty(); });
  const auto first = std::ranges::find_if(texts, [](const std::string& one) { return !one.empty(); });
  if (first != texts.end()) log::warn("{}{}", *first, crowded > 1 ? fmt::format(" (also on {} other node(s))", crowded - 1) : std::string());
}

}  // namespace trireme

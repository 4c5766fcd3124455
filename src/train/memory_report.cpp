#include "train/memory_report.hpp"

#include <array>
#include <span>

#include "base/text.hpp"
#include "losses/loss_function.hpp"

namespace trireme {

namespace {

std::string bytes_text(std::int64_t bytes) { return human_bytes(static_cast<double>(bytes)); }

}  // namespace

std::string MemoryReport::plan_text() const {
  return fmt::format(
      "memory per rank: {} planned: parameters {}, gradients {}, state {}, activations {}, workspace {}, messages {}, evaluation {}, "
      "checkpoint {}, data {}; the program itself uses another {}",
      bytes_text(plan_.total()), bytes_text(plan_.parameters), bytes_text(plan_.gradients), bytes_text(plan_.state + plan_.average),
      bytes_text(plan_.activations), bytes_text(plan_.workspace), bytes_text(plan_.messages), bytes_text(plan_.evaluation), bytes_text(plan_.checkpoint),
      bytes_text(plan_.data), bytes_text(resident_before_));
}

template <class T>
MemoryReport::Comparison MemoryReport::compare(const Deck& deck, const Communicator& comm, const Network<T>& network) const {
  const auto summary = network.summary();
  const ResidentMemory resident = resident_memory();
  const std::int64_t loss_messages = loss_message_elements(deck, network) * network.largest_batch() * static_cast<std::int64_t>(sizeof(T));
  std::array<std::int64_t, 10> most{allocations_.of(MemoryUse::activations).peak,
                                    summary.temporary_bytes,
                                    allocations_.of(MemoryUse::workspace).peak,
                                    summary.workspace_bytes,
                                    allocations_.of(MemoryUse::messages).peak,
                                    summary.message_bytes + loss_messages,
                                    allocations_.all().peak,
                                    plan_.total(),
                                    resident_before_,
                                    resident.peak};
  comm.all_reduce(std::span<std::int64_t>(most), MPI_MAX);
  Comparison found{{{"allocated", most[6]}, {"planned", most[7]}, {"resident_before", most[8]}, {"resident_peak", most[9]}},
                   "peak memory, maximum over ranks:"};
  const char* const names[] = {"activations", "workspace", "messages"};
  for (std::size_t i = 0; i < 3; ++i) {
    found.json[names[i]] = {{"allocated", most[2 * i]}, {"planned", most[2 * i + 1]}};
    found.text += fmt::format(" {} {} (planned {}),", names[i], bytes_text(most[2 * i]), bytes_text(most[2 * i + 1]));
  }
  found.text += fmt::format(" total {}; resident {} (planned {}, in addition to {} before the run)", bytes_text(most[6]), bytes_text(most[9]),
                            bytes_text(most[7]), bytes_text(most[8]));
  return found;
}

template MemoryReport::Comparison MemoryReport::compare(const Deck&, const Communicator&, const Network<float>&) const;
template MemoryReport::Comparison MemoryReport::compare(const Deck&, const Communicator&, const Network<double>&) const;

}  // namespace trireme

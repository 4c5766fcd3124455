#include "train/profile.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace trireme {

std::size_t Profile::add(const std::string& name, const std::string& kind, Work work) {
  parts_.push_back({name, kind, work});
  return parts_.size() - 1;
}

void Profile::begin_step(const Execution& exec) {
  exec.fence("trireme::profile: the step begins");
  last_ = clock_.seconds();
}

void Profile::mark(const Execution& exec, std::size_t part) {
  exec.fence("trireme::profile: a part of the step ends");
  const double now = clock_.seconds();
  if (steps_ >= warm_up) parts_[part].seconds += now - last_;
  last_ = now;
}

void Profile::end_step() { ++steps_; }

std::vector<Profile::Row> Profile::rows(const MachineRates& rates) const {
  std::vector<Row> rows;
  for (const Part& part : parts_) {
    const double arithmetic = static_cast<double>(part.work.operations) / rates.operations_per_s,
                 memory = static_cast<double>(part.work.bytes) / rates.bytes_per_s;
    rows.push_back(
        {part.name, part.kind, part.seconds / static_cast<double>(std::max<std::int64_t>(steps(), 1)), std::max(arithmetic, memory), memory > arithmetic});
  }
  return rows;
}

std::string Profile::table(const MachineRates& rates) const {
  const auto rows = this->rows(rates);
  double seconds = 0, least = 0;
  for (const Row& row : rows) seconds += row.seconds, least += row.least_seconds;
  std::size_t width = 10;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string text = fmt::format(
      "profile of {} steps; machine peak: {:.0f} GFLOP/s (matrix product), {:.1f} GB/s (triad)\n  {:<{}} {:<22} {:>9} {:>7} {:>9} "
      "{:>10} {:>7}  bound by\n",
      steps(), 1e-9 * rates.operations_per_s, 1e-9 * rates.bytes_per_s, "part", width, "kind", "ms", "share", "GFLOP/s", "peak, ms", "of peak");
  const auto line = [&](const std::string& name, const std::string& kind, double time, double roof, double operations, const char* bound) {
    text += fmt::format("  {:<{}} {:<22} {:>9.3f} {:>6.1f}% {:>9} {:>10.3f} {:>7}  {}\n", name, width, kind, 1e3 * time, 100 * time / std::max(seconds, 1e-12),
                        operations > 0 ? fmt::format("{:.0f}", 1e-9 * operations / std::max(time, 1e-12)) : std::string(), 1e3 * roof,
                        roof > 0 ? fmt::format("{:.0f}%", 100 * roof / std::max(time, 1e-12)) : std::string(), bound);
  };
  double small = 0, small_least = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    if (row.seconds < 0.002 * seconds)
      small += row.seconds, small_least += row.least_seconds;
    else
      line(row.name, row.kind, row.seconds, row.least_seconds, static_cast<double>(parts_[i].work.operations),
           row.least_seconds <= 0 ? ""
           : row.bound_by_memory  ? "memory"
                                  : "arithmetic");
  }
  if (small > 0) line("others", "each below 0.2%", small, small_least, 0, "");
  line("step", "", seconds, least, 0, "");
  return text;
}

nlohmann::json Profile::json(const MachineRates& rates) const {
  nlohmann::json parts = nlohmann::json::array();
  const auto rows = this->rows(rates);
  for (std::size_t i = 0; i < rows.size(); ++i)
    parts.push_back({{"part", rows[i].name},
                     {"kind", rows[i].kind},
                     {"operations", parts_[i].work.operations},
                     {"bytes", parts_[i].work.bytes},
                     {"seconds", rows[i].seconds},
                     {"roof_seconds", rows[i].least_seconds}});
  return {{"event", "profile"}, {"steps", steps()}, {"operations_per_s", rates.operations_per_s}, {"bytes_per_s", rates.bytes_per_s}, {"parts", parts}};
}

}  // namespace trireme

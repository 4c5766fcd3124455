// What became of a run, read from its records.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace trireme {

/// Result of a run according to metrics.jsonl in its run directory: "ended" (whether it reached its end), "step", "total_steps", "train_loss" (mean
/// of the last epoch, or else of the last reported step), "test" (metrics), "seconds" (over all restarts that were not killed), "parameters_sha256".
/// Unknown entries are omitted.
nlohmann::json outcome_of(const std::filesystem::path& run_directory);

}  // namespace trireme

#include "train/reduction_choice.hpp"

#include <array>
#include <span>

#include "base/error.hpp"
#include "io/retry.hpp"
#include "run/run_directory.hpp"

namespace trireme {

ReduceOptions choose_reduction(const RunContext& run, std::int64_t gradients) {
  ReduceOptions options = ReduceOptions::from(run.deck, run.grid.shape(), gradients);
  const Communicator& ranks = run.grid.reduction();
  // Sums over two ranks, or over virtual ranks, have the same order with every choice.
  if (ranks.size() <= 2 || !options.virtual_ranks.empty() || (options.bucket_bytes > 0 && options.algorithm != ReduceOptions::Algorithm::automatic))
    return options;
  std::array<std::int64_t, 3> kept{0, 0, 0};  // ranks, bytes per bucket, hierarchical
  run.comm.together([&] {
    if (!run.is_root() || run.deck.text("checkpoint.resume") == "never") return;
    auto files = list_checkpoints(run_path(run.deck));
    if (const std::filesystem::path wanted = run.deck.text("checkpoint.resume"); files.empty() && wanted != "auto")
      files = std::filesystem::is_directory(wanted) ? list_checkpoints(wanted) : std::vector{wanted};
    for (const auto& file : files) {
      try {
        const CheckpointContent content = with_retries(usual_retries, [&] { return CheckpointReader(file).content(); });
        const auto value = [&](const char* key) { return content.integers.contains(key) ? content.integers.at(key) : 0; };
        kept = {value("reduce_ranks"), value("reduce_bucket"), value("reduce_by_nodes")};
        return;
      } catch (const Error&) {  // damaged: the run says so when it restores
      }
    }
  });
  run.comm.broadcast(std::span<std::int64_t>(kept));
  if (kept[0] != ranks.size() || kept[1] <= 0) return options;
  if (options.bucket_bytes == 0) options.bucket_bytes = kept[1];
  if (options.algorithm == ReduceOptions::Algorithm::automatic)
    options.algorithm = kept[2] != 0 ? ReduceOptions::Algorithm::hierarchical : ReduceOptions::Algorithm::flat;
  return options;
}

template <class T>
void record_reduction(const RunContext& run, const GradientReducer<T>& reducer, Fingerprint& fingerprint) {
  if (run.grid.reduction().size() <= 2 || virtual_ranks_of(run.deck, run.grid.shape()) > 0) return;
  fingerprint["reduce_ranks"] = run.grid.reduction().size();
  fingerprint["reduce_bucket"] = reducer.bucket_bytes();
  fingerprint["reduce_by_nodes"] = reducer.by_nodes() ? 1 : 0;
}

template void record_reduction(const RunContext&, const GradientReducer<float>&, Fingerprint&);
template void record_reduction(const RunContext&, const GradientReducer<double>&, Fingerprint&);

}  // namespace trireme

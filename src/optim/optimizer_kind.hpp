// Optimizers: the registry of update rules. A file of this folder registers one with TRIREME_OPTIMIZER(name).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/maker.hpp"
#include "config/deck.hpp"
#include "config/key_spec.hpp"
#include "kokkos_kernels/update.hpp"

namespace trireme {

/// What an update rule is given for one step. Arenas are parallel: element i of `gradients` belongs to element i of `parameters`; states may lie compact
/// (ParameterChunk::shift).
template <class T>
struct OptimizerStep {
  const Execution& exec;
  ParameterChunks runs;
  Clip clip;
  TrustRatios trust;  // workspace of layer-wise rules (OptimizerKind::layer_norms); else empty
  double lr;          // of this step
  std::int64_t step;  // updates done before, from 0
  Span<const T> gradients;
  Span<T> parameters;
  std::function<Span<T>(std::string_view name)> state;  // empty where the deck's optimizer does not keep it
};

/// Updates parameters and state in one pass over them. Reads its hyper-parameters when it is made.
template <class T>
class UpdateRule {
 public:
  virtual ~UpdateRule() = default;
  virtual void update(const OptimizerStep<T>& step) const = 0;
};

struct OptimizerKind {
  std::string name = {};           // the value of optimizer.kind; the registry sets it
  std::string help;                // one sentence with the source, for the deck reference
  std::vector<KeySpec> keys = {};  // deck keys that this kind alone has
  bool layer_norms = false;        // whether it needs norms of whole parameters (lars, lamb)
  /// Names of the state arenas that the deck asks for, each as large as the parameters; checkpoints save them under these.
  std::function<std::vector<std::string>(const Deck&)> states;
  Maker<UpdateRule, const Deck&> make;
};

/// All optimizers, in the order of their files.
const std::vector<OptimizerKind>& optimizer_kinds();
/// The one that optimizer.kind names.
const OptimizerKind& optimizer_kind(const Deck& deck);

#define TRIREME_OPTIMIZER(kind) OptimizerKind optimizer_kind_##kind()

}  // namespace trireme

// Losses: the registry of loss functions. A file of this folder registers one with TRIREME_LOSS(name).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/maker.hpp"
#include "base/shape.hpp"
#include "config/deck.hpp"
#include "config/key_spec.hpp"
#include "kokkos_kernels/loss.hpp"
#include "losses/targets.hpp"

namespace trireme {

/// Arguments of a loss: the outputs and targets of n samples, channels-last. Partial sums of a loss over pixels, channels and samples can be added.
template <class T>
struct LossPass {
  const Execution& exec;
  std::int64_t n, pixels;  // samples; pixels of each that are here
  LossChannels channels;   // of each pixel
  Span<const T> y;
  Targets<T> targets;
  T factor;              // of the gradient
  Span<T> dy;            // factor times the gradient of the sum; may be empty (evaluation), and may be the memory of y
  Span<double> partial;  // workspace of loss_workspace(n, outputs per sample) numbers
  Span<double> sums;     // (2): the sum of the loss, and of the weights of the targets that count
  Ignored<T> ignored = {};
  Span<const T> class_weights = {};  // one per class or channel; empty: 1
  double class_weight_sum = 0;
  RowWeights rows = {};
  Span<const double> statistics = {};  // (n, Loss::statistics()): sums over all pixels of each sample
};

/// A loss that is a sum over elements, pixels or samples.
template <class T>
class Loss {
 public:
  virtual ~Loss() = default;
  /// Reduces in a fixed order, independent of the number of threads. A NaN in y or a target that counts makes the sum NaN.
  virtual void apply(const LossPass<T>& pass) const = 0;
  /// Losses of whole samples: numbers per sample, sums over its pixels, that apply() needs. The sum of the loss is then over samples, and each rank with
  /// pixels of a sample finds the whole loss of the sample, and the gradient of its pixels.
  virtual std::int64_t statistics() const { return 0; }
  /// Writes these sums over the pixels that are here: (n, statistics()).
  virtual void gather(const LossPass<T>&, Span<double>) const {}
};

struct LossKind;

/// What a loss compares outputs of a given shape with.
struct LossTargets {
  /// Type of the targets: classes, a value in [0, 1] per output (yes or no), or any number per output. It determines the metrics.
  enum class Type { values, binary, classes } type = Type::values;
  Shape shape = {};            // of the targets of a sample
  std::int64_t classes = 0;    // class numbers: how many
  bool probabilities = false;  // classes: targets are the probabilities of each class, in the shape of the output
  std::int64_t divisor = 1;    // targets per sample in the mean
  /// One class number per sample, as integers.
  bool numbers() const { return classes > 0 && !probabilities && shape.rank() == 0; }
  /// One class number per pixel.
  bool maps() const { return classes > 0 && !probabilities && shape.rank() > 0; }
};

struct LossKind {
  std::string name = {};           // the value of loss.kind; the registry sets it
  std::string help;                // one sentence with the formula, for the deck reference
  std::vector<KeySpec> keys = {};  // deck keys of this loss alone
  using Targets = LossTargets::Type;
  Targets targets = Targets::values;
  bool probability_targets = false;  // targets that are values must be from 0 to 1
  bool classes_or_binary = false;    // classes if the output has several channels and loss.targets is not probabilities; else binary
  bool logits = false;               // binary targets: outputs are logits, and metrics use their sigmoid
  /// Error message if an output is outside the domain of the loss, which makes the loss +inf. Empty: every output is in the domain.
  std::string output_domain = {};
  bool whole_channels = false;      // needs all channels of a pixel
  bool divisor_is_samples = false;  // the mean is over samples, and sums over their pixels and channels
  bool of_samples = false;          // the same, and the loss of a sample is no sum over its pixels: it needs Loss::statistics()
  int outputs_per_target = 1;       // channels of the output for each channel of the target
  /// Keys of [loss] that this loss uses, besides `keys`.
  std::vector<std::string> uses = {"loss.ignore"};
  Maker<Loss, const Deck&, const LossTargets&> make = {};
};

/// All losses, in the order of their files.
const std::vector<LossKind>& loss_kinds();
/// The loss of loss.kind.
const LossKind& loss_kind(const Deck& deck);
/// The targets of a loss for the whole output of a network. Usage errors name the key.
LossTargets loss_targets(const LossKind& kind, const Deck& deck, const Shape& output);
inline LossTargets loss_targets(const Deck& deck, const Shape& output) { return loss_targets(loss_kind(deck), deck, output); }

/// loss.ignore; empty: every target counts.
std::optional<double> ignored_target(const Deck& deck);

#define TRIREME_LOSS(kind) LossKind loss_kind_##kind()

}  // namespace trireme

// What an evaluation found. Definitions are in docs/metrics.md.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme {

struct Metrics {
  static constexpr std::int64_t most_confused = 1000;  // classes that a confusion matrix has at most
  enum class Kind { classes, binary, values };

  /// A number that has no meaning here is nothing ("n/a", null); one that is not finite says so ("nan", null).
  using Number = std::optional<double>;

  Kind kind = Kind::values;
  std::int64_t samples = 0;
  double loss = 0;
  Number accuracy, top5;           // of classes; accuracy also of binary targets
  Number precision, recall, f1;    // of binary targets, and of class 1 of two
  Number mae, r2;                  // of values, binary ones too
  std::int64_t classes = 0;
  std::vector<std::int64_t> confusion;  // (true, predicted), row-major; empty: not counted

  /// Counts over all samples, and outputs of a sample: what kernels count (kokkos_kernels/metrics.hpp).
  void set_classes(std::int64_t classes, const std::vector<std::int64_t>& counts);
  void set_binary(const std::vector<std::int64_t>& counts);

  /// {"samples", "loss", "accuracy", "top5"} and of two classes {"precision", "recall", "f1"}; or {"samples", "loss", "mae", "r2"} and of binary targets
  /// {"accuracy", "precision", "recall", "f1"}; with `details` of classes also "confusion", null where they are too many.
  nlohmann::json json(bool details = false) const;
  /// "loss 0.0312  accuracy 99.04 %  top-5 99.99 %"
  std::string text() const;
};

}  // namespace trireme

#include "train/metrics.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace trireme {

namespace {

using Number = Metrics::Number;

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// a / b, nothing where b is 0, and not a number where some samples had none.
Number ratio(std::int64_t a, std::int64_t b, bool defined) {
  if (!defined) return not_a_number;
  return b == 0 ? Number() : static_cast<double>(a) / static_cast<double>(b);
}

void set_positives(Metrics& m, std::int64_t hits, std::int64_t false_alarms, std::int64_t misses, bool defined) {
  m.precision = ratio(hits, hits + false_alarms, defined);
  m.recall = ratio(hits, hits + misses, defined);
  m.f1 = ratio(2 * hits, 2 * hits + false_alarms + misses, defined);
}

nlohmann::json value(const Number& number) { return number ? nlohmann::json(*number) : nlohmann::json(); }

std::string percent(const Number& number) { return number ? fmt::format("{:.2f} %", 100 * *number) : "n/a"; }
std::string fraction(const Number& number) { return !number ? "n/a" : std::abs(*number) < 1e4 ? fmt::format("{:.4f}", *number) : fmt::format("{:.5g}", *number); }

std::string positives(const Metrics& m) {
  return fmt::format("  precision {}  recall {}  F1 {}", fraction(m.precision), fraction(m.recall), fraction(m.f1));
}

}  // namespace

void Metrics::set_classes(std::int64_t count, const std::vector<std::int64_t>& counts) {
  const bool defined = counts[2] == 0;
  classes = count;
  accuracy = ratio(counts[0], samples, defined);
  top5 = ratio(counts[1], samples, defined);
  confusion.assign(counts.begin() + 3, counts.end());
  if (classes == 2) set_positives(*this, confusion[3], confusion[1], confusion[2], defined);
}

void Metrics::set_binary(const std::vector<std::int64_t>& counts) {
  if (counts[5] > 0) return;  // neither yes nor no: nothing was to be guessed
  const bool defined = counts[4] == 0;
  accuracy = ratio(counts[0] + counts[3], counts[0] + counts[1] + counts[2] + counts[3], defined);
  set_positives(*this, counts[0], counts[1], counts[2], defined);
}

nlohmann::json Metrics::json(bool details) const {
  nlohmann::json j{{"samples", samples}, {"loss", loss}};
  if (kind != Kind::values) j["accuracy"] = value(accuracy);
  if (kind == Kind::binary || (kind == Kind::classes && classes == 2)) {
    j["precision"] = value(precision);
    j["recall"] = value(recall);
    j["f1"] = value(f1);
  }
  if (kind != Kind::classes) {
    j["mae"] = value(mae);
    j["r2"] = value(r2);
    return j;
  }
  j["top5"] = value(top5);
  if (!details) return j;
  if (confusion.empty()) return j["confusion"] = nullptr, j;
  j["confusion"] = nlohmann::json::array();
  for (std::int64_t c = 0; c < classes; ++c)
    j["confusion"].push_back(std::vector<std::int64_t>(confusion.begin() + c * classes, confusion.begin() + (c + 1) * classes));
  return j;
}

std::string Metrics::text() const {
  if (kind == Kind::classes)
    return fmt::format("loss {:.4f}  accuracy {}{}", loss, percent(accuracy), classes == 2 ? positives(*this) : fmt::format("  top-5 {}", percent(top5)));
  return fmt::format("loss {:.5g}{}  MAE {}  R2 {}", loss, accuracy ? fmt::format("  accuracy {}{}", percent(accuracy), positives(*this)) : "",
                     mae ? fmt::format("{:.5g}", *mae) : "n/a", fraction(r2));
}

}  // namespace trireme

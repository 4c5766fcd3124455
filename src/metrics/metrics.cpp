#include "metrics/metrics.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/registry.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {

std::string shown(const MetricKind& kind, const MetricValue& value) {
  if (!value) return "n/a";
  const double number = without_nan_sign(*value);
  switch (kind.format) {
    case MetricKind::Format::percent:
      return fmt::format("{:.2f} %", 100 * number);
    case MetricKind::Format::number:
      return fmt::format("{:.5g}", number);
    case MetricKind::Format::fraction:
      break;
  }
  return std::abs(number) < 1e4 ? fmt::format("{:.4f}", number) : fmt::format("{:.5g}", number);
}

}  // namespace

MetricValue metric_ratio(std::int64_t a, std::int64_t b, const MetricStatistics& of) {
  if (of.undefined > 0) return std::numeric_limits<double>::quiet_NaN();
  return b == 0 ? MetricValue() : static_cast<double>(a) / static_cast<double>(b);
}

MetricValue Metrics::value(const std::string& name) const {
  if (const auto dot = name.find('.'); dot != name.npos) {
    const auto term = std::ranges::find(terms, name.substr(0, dot), &Term::name);
    return term == terms.end() ? MetricValue() : Metrics{.statistics = term->statistics, .loss = term->loss}.value(name.substr(dot + 1));
  }
  const MetricKind& kind = entry_of(metric_kinds(), name);
  return kind.applies(statistics) ? kind.value(statistics) : MetricValue();
}

nlohmann::json Metrics::json(bool details) const {
  if (!terms.empty()) {
    nlohmann::json all{{"samples", statistics.samples}, {"loss", loss}};
    for (const Term& term : terms) all[term.name] = Metrics{.statistics = term.statistics, .loss = term.loss}.json(details);
    return all;
  }
  nlohmann::json j{{"samples", statistics.samples}, {"loss", loss}};
  for (const MetricKind& kind : metric_kinds()) {
    if (!kind.applies(statistics)) continue;
    const MetricValue value = kind.value(statistics);
    j[kind.name] = value ? nlohmann::json(*value) : nlohmann::json();
  }
  for (const MetricKind& kind : metric_kinds()) {
    if (!details || !kind.values) continue;
    const std::vector<MetricValue> values = kind.values(statistics);
    if (values.size() < 2) continue;
    auto& list = j[kind.name + (statistics.targets == LossKind::Targets::classes ? "_by_class" : "_by_channel")] = nlohmann::json::array();
    for (const MetricValue& value : values) list.push_back(value ? nlohmann::json(*value) : nlohmann::json());
  }
  if (!details || statistics.targets != LossKind::Targets::classes) return j;
  j["confusion"] = nullptr;
  if (statistics.confusion.empty()) return j;
  j["confusion"] = nlohmann::json::array();
  const auto first = statistics.confusion.begin();
  for (std::int64_t c = 0; c < statistics.classes; ++c)
    j["confusion"].push_back(std::vector<std::int64_t>(first + c * statistics.classes, first + (c + 1) * statistics.classes));
  return j;
}

std::string Metrics::text() const {
  if (!terms.empty()) {
    std::string all = fmt::format("loss {:.5g}", loss);
    for (const Term& term : terms) all += fmt::format("  {}: {}", term.name, Metrics{.statistics = term.statistics, .loss = term.loss}.text());
    return all;
  }
  std::vector<const MetricKind*> kinds;
  for (const MetricKind& kind : metric_kinds())
    if (kind.applies(statistics) && (!kind.is_logged || kind.is_logged(statistics))) kinds.push_back(&kind);
  std::ranges::stable_sort(kinds, {}, [](const MetricKind* kind) { return kind->place; });
  std::string text = statistics.targets == LossKind::Targets::classes ? fmt::format("loss {:.4f}", loss) : fmt::format("loss {:.5g}", loss);
  for (const MetricKind* kind : kinds) text += fmt::format("  {} {}", kind->label, shown(*kind, kind->value(statistics)));
  return text;
}

}  // namespace trireme

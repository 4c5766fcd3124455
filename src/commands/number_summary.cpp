#include <algorithm>
#include <cmath>

#include "commands/shard_survey.hpp"
#include "io/with_type.hpp"

namespace trireme {

using nlohmann::json;

void NumberSummary::count_value(std::int64_t value, std::int64_t times) {
  if (!few_) return;
  histogram_[value] += times;
  if (histogram_.size() <= most_values) return;
  few_ = false;
  histogram_.clear();
}

template <class T>
void NumberSummary::add_all(const T* values, std::int64_t count, bool gaps) {
  // The mean and squares of this block first, then merge() combines them: one sum of a billion numbers would lose digits.
  NumberSummary block(few_);
  double sum = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(values[i]);
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) {
        ++block.not_finite_;
        if (gaps && std::isnan(value)) ++block.missing_;
        continue;
      }
    }
    if (block.count_ == 0) block.low_ = block.high_ = value;
    block.low_ = std::min(block.low_, value);
    block.high_ = std::max(block.high_, value);
    sum += value;
    ++block.count_;
  }
  if (block.count_ > 0) block.mean_ = sum / static_cast<double>(block.count_);
  for (std::int64_t i = 0; i < count; ++i) {
    const double distance = static_cast<double>(values[i]) - block.mean_;
    if (std::isfinite(distance)) block.squares_ += distance * distance;
  }
  if constexpr (std::is_floating_point_v<T>) block.few_ = false;
  for (std::int64_t i = 0; i < count && block.few_; ++i) block.count_value(static_cast<std::int64_t>(values[i]), 1);
  merge(block);
}

void NumberSummary::add(ElementType type, const std::byte* values, std::int64_t count, bool gaps) {
  with_type(type, [&]<class T>(T) { add_all(reinterpret_cast<const T*>(values), count, gaps); });
}

void NumberSummary::merge(const NumberSummary& other) {
  not_finite_ += other.not_finite_;
  missing_ += other.missing_;
  few_ = few_ && other.few_;
  if (!few_) histogram_.clear();
  for (const auto& [value, times] : other.histogram_) count_value(value, times);
  if (other.count_ == 0) return;
  low_ = count_ == 0 ? other.low_ : std::min(low_, other.low_);
  high_ = count_ == 0 ? other.high_ : std::max(high_, other.high_);
  // Chan, Golub and LeVeque 1979.
  const auto mine = static_cast<double>(count_), theirs = static_cast<double>(other.count_);
  const double distance = other.mean_ - mean_;
  squares_ += other.squares_ + distance * distance * mine * theirs / (mine + theirs);
  mean_ += distance * theirs / (mine + theirs);
  count_ += other.count_;
}

json NumberSummary::json() const {
  nlohmann::json object{{"count", count_ + not_finite_}};
  if (not_finite_ > missing_) object["not_finite"] = not_finite_ - missing_;
  if (missing_ > 0) object["missing"] = missing_;
  if (count_ == 0) return object;
  object["min"] = low_;
  object["max"] = high_;
  object["mean"] = mean_;
  object["std"] = std::sqrt(squares_ / static_cast<double>(count_));
  if (few_)
    for (const auto& [value, times] : histogram_) object["histogram"][std::to_string(value)] = times;
  return object;
}

nlohmann::json NumberSummary::pack() const {
  nlohmann::json packed{{"n", {count_, not_finite_, missing_}}, {"x", {low_, high_, mean_, squares_}}, {"few", few_}, {"histogram", nlohmann::json::array()}};
  for (const auto& [value, times] : histogram_) packed["histogram"].push_back({value, times});
  return packed;
}

NumberSummary NumberSummary::unpack(const nlohmann::json& packed) {
  NumberSummary summary;
  summary.count_ = packed["n"][0], summary.not_finite_ = packed["n"][1], summary.missing_ = packed["n"][2];
  summary.low_ = packed["x"][0], summary.high_ = packed["x"][1], summary.mean_ = packed["x"][2], summary.squares_ = packed["x"][3];
  summary.few_ = packed["few"];
  for (const auto& pair : packed["histogram"]) summary.histogram_[pair[0]] = pair[1];
  return summary;
}

}  // namespace trireme

// Surveys a data set shard by shard: the content and the problems of each shard. A run would stop at the first problem.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/shard.hpp"

namespace trireme {

/// Summary of one array over all shards: the range, and a histogram if the values are integers with few different values.
class NumberSummary {
 public:
  static constexpr std::size_t most_values = 1000;

  explicit NumberSummary(bool histogram = true) : few_(histogram) {}
  /// `gaps`: NaN is a missing value.
  void add(ElementType type, const std::byte* values, std::int64_t count, bool gaps = false);
  void merge(const NumberSummary& other);
  /// Excluding missing values.
  std::int64_t not_finite() const { return not_finite_ - missing_; }
  /// {"count", "min", "max", "mean", "std"}, and "histogram" {"value": count} if there is one; without finite values only "count"; "missing" and "not_finite"
  /// if there are such values.
  nlohmann::json json() const;

  /// Serialization, to combine summaries of several ranks.
  nlohmann::json pack() const;
  static NumberSummary unpack(const nlohmann::json& packed);

 private:
  template <class T>
  void add_all(const T* values, std::int64_t count, bool gaps);
  void count_value(std::int64_t value, std::int64_t times);

  std::int64_t count_ = 0, not_finite_ = 0, missing_ = 0;  // missing_: included in not_finite_
  double low_ = 0, high_ = 0, mean_ = 0,
         squares_ = 0;  // of finite values; squares_: sum of squared distances from the mean
  bool few_;
  std::map<std::int64_t, std::int64_t> histogram_;
};

struct SurveyedShard {
  std::string path;
  std::string problem;  // empty: none. Otherwise the other members may be empty
  std::int64_t rows = 0, bytes = 0;
  bool has_checksums = false;  // of each data set that was read
  Shape sample, label;
  std::string feature_type, label_type;  // label_type: empty without labels
};

struct ShardSurvey {
  std::vector<SurveyedShard> shards;
  NumberSummary labels, features{false};
  std::vector<NumberSummary> channels;  // of the features, if requested
  std::vector<std::string> problems;    // one message each
};

struct SurveyOptions {
  ShardNames names;
  bool labels_required = false;  // false: shards without labels are allowed if no shard has labels
  Shape sample;                  // shape of one sample, if known: for files with one sample each
  bool read_features = false;
  bool statistics = false;  // also for each channel: the first extent of `sample` if known, otherwise of a row
};

/// Surveys all shards, distributed over the ranks; the result is complete on rank 0. Collective.
ShardSurvey survey_shards(const Communicator& comm, const std::vector<std::string>& paths, const SurveyOptions& options);

}  // namespace trireme

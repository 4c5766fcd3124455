// Tables of numbers as text: a row is a sample, the last columns are its targets or its class.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "io/importers/csv_records.hpp"
#include "io/importers/sample_source.hpp"

namespace trireme {

struct CsvOptions {
  enum class Header { automatic, yes, no };
  std::int64_t targets = 1;    // so many of the last columns are float targets
  bool classes = false;        // instead, the last column is a class: 0, 1, ...
  double test_fraction = 0.2;  // of the rows, chosen by a hash of (seed, row)
  std::uint64_t seed = 1;
  Header header = Header::automatic;  // automatic: the first record is one when none of its fields is a number
  bool float64 = false;               // else float32
  bool standardize = false;           // features to mean 0 and deviation 1 over the train part
  bool standardize_targets = false;
};

/// Mean and deviation of columns, one row after the other (Welford 1962).
class ColumnStatistics {
 public:
  explicit ColumnStatistics(std::size_t columns = 0) : mean_(columns, 0.0), squares_(columns, 0.0) {}
  void add(const std::vector<double>& row);
  const std::vector<double>& mean() const { return mean_; }
  /// Of the population; 1 for a constant column, which dividing by it then leaves at 0.
  std::vector<double> deviation() const;

 private:
  double count_ = 0;
  std::vector<double> mean_, squares_;
};

class CsvSource : public SampleSource {
 public:
  /// Reads the whole file once: counts, checks every field, takes mean and deviation. Throws a data error that names
  /// file, line, column and what was found.
  CsvSource(std::filesystem::path path, const CsvOptions& options);
  const SampleLayout& layout() const override { return layout_; }
  std::int64_t count(Part part) const override { return counts_[part]; }
  std::vector<SourceAttribute> attributes() const override;
  void stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const override;

  /// Which part row `row` (from 0, the header not counted) belongs to.
  Part part_of(std::int64_t row) const;

 private:
  struct BadFields;
  void scan();
  void begin(CsvRecords& records);
  void check(const CsvRecords& records, std::vector<double>& row, BadFields& bad) const;
  std::string column_text(std::size_t column) const;

  std::filesystem::path path_;
  CsvOptions options_;
  bool has_header_ = false;
  std::vector<std::string> names_;  // empty without a header
  std::size_t columns_ = 0, features_ = 0;
  PerPart<std::int64_t> counts_{0, 0};
  std::vector<double> mean_, deviation_;  // of all columns; 0 and 1 where not standardised
  SampleLayout layout_;
};

}  // namespace trireme

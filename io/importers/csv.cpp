#include "io/importers/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "io/importers/importer.hpp"

namespace trireme {

namespace {

constexpr std::uint64_t part_purpose = 0x70617274;  // "part"

std::optional<double> number(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);  // from_chars does not accept '+'
  double value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// A field for a message: shortened, without control characters.
std::string shown(std::string_view field) {
  constexpr std::size_t longest = 40;
  std::string text;
  for (const char c : field.substr(0, longest)) {
    if (static_cast<unsigned char>(c) < 0x20)
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      text += c;
  }
  return field.size() > longest ? text + "..." : text;
}

template <class T>
void append_as(std::vector<std::byte>& out, double value) {
  const T narrow = static_cast<T>(value);
  const auto* const bytes = reinterpret_cast<const std::byte*>(&narrow);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

void append(std::vector<std::byte>& out, ElementType type, double value) {
  switch (type) {
    case ElementType::f32:
      return append_as<float>(out, value);
    case ElementType::f64:
      return append_as<double>(out, value);
    default:
      return append_as<std::int64_t>(out, value);
  }
}

}  // namespace

void ColumnStatistics::add(const std::vector<double>& row) {
  count_ += 1;
  for (std::size_t i = 0; i < mean_.size(); ++i) {
    const double off = row[i] - mean_[i];
    mean_[i] += off / count_;
    squares_[i] += off * (row[i] - mean_[i]);
  }
}

std::vector<double> ColumnStatistics::deviation() const {
  std::vector<double> result;
  for (const double s : squares_) result.push_back(s > 0 ? std::sqrt(s / count_) : 1.0);
  return result;
}

// The first field that is not a number, and the count of such fields per column.
struct CsvSource::BadFields {
  std::string first;
  std::map<std::size_t, std::int64_t> count_by_column;

  void add(std::size_t column, std::string message) {
    if (count_by_column.empty()) first = std::move(message);
    ++count_by_column[column];
  }
};

CsvSource::CsvSource(std::filesystem::path path, const CsvOptions& options) : path_(std::move(path)), options_(options) { scan(); }

Part CsvSource::part_of(std::int64_t row) const {
  const std::uint64_t hash = mix(mix(options_.seed, part_purpose), static_cast<std::uint64_t>(row));
  return static_cast<double>(hash >> 11) * 0x1p-53 < options_.test_fraction ? Part::test : Part::train;
}

std::string CsvSource::column_text(std::size_t column) const {
  return names_.empty() ? fmt::format("column {}", column + 1) : fmt::format("column {} '{}'", column + 1, shown(names_[column]));
}

// Examines the first record, the current one of `records`: the number of columns, and whether it is a header.
void CsvSource::begin(CsvRecords& records) {
  const auto& fields = records.fields();
  columns_ = fields.size();
  const auto labels = static_cast<std::size_t>(options_.classes ? 1 : options_.targets);
  if (columns_ <= labels)
    throw data_error(
        "'{}', line {}: found {} column(s), separated by {}; expected {} of labels and at least one of features. "
        "Hint: separate fields by , ; tab or blanks, in the same way in all rows",
        records.name(), records.line(), columns_, records.separator_text(), labels);
  features_ = columns_ - labels;
  const bool no_numbers = std::ranges::none_of(fields, [](std::string_view field) { return number(field).has_value(); });
  has_header_ = options_.header == CsvOptions::Header::yes || (options_.header == CsvOptions::Header::automatic && no_numbers);
  if (has_header_) names_.assign(fields.begin(), fields.end());
  layout_.sample = Shape{static_cast<std::int64_t>(features_)};
  layout_.feature_type = options_.float64 ? ElementType::f64 : ElementType::f32;
  layout_.label = options_.classes ? Shape{} : Shape{static_cast<std::int64_t>(labels)};
  layout_.label_type = options_.classes ? ElementType::i64 : layout_.feature_type;
}

void CsvSource::check(const CsvRecords& records, std::vector<double>& row, BadFields& bad) const {
  const auto& fields = records.fields();
  if (fields.size() != columns_)
    throw data_error(
        "'{}', line {}: {} fields, but the first record has {} (separated by {}). Hint: quote fields that contain the "
        "separator",
        records.name(), records.line(), fields.size(), columns_, records.separator_text());
  for (std::size_t i = 0; i < columns_; ++i) {
    const auto refuse = [&](const std::string& what) {
      bad.add(i, fmt::format("'{}', line {}, {}: {}", records.name(), records.line(), column_text(i), what));
    };
    const auto value = number(fields[i]);
    const double magnitude = value ? std::abs(*value) : 0.0;
    if (fields[i].empty())
      refuse("the field is empty; expected a number");
    else if (!value || !std::isfinite(*value))
      refuse(fmt::format("found '{}'; expected a finite number", shown(fields[i])));
    else if (options_.classes && i + 1 == columns_ && (*value < 0 || *value != std::floor(*value) || *value > 0x1p53))
      refuse(fmt::format("found '{}'; expected a class: 0, 1, 2, ...", shown(fields[i])));
    else if (!options_.float64 && magnitude > std::numeric_limits<float>::max())
      refuse(fmt::format("found '{}', too large for float32 (--float64 stores it)", shown(fields[i])));
    row[i] = value.value_or(0.0);
  }
}

void CsvSource::scan() {
  CsvRecords records(path_);
  if (!records.next()) throw data_error("'{}': no rows; the file is empty", records.name());
  begin(records);
  BadFields bad;
  ColumnStatistics statistics(columns_);
  std::vector<double> row(columns_);
  std::int64_t rows = 0;
  for (bool more = !has_header_ || records.next(); more; more = records.next()) {
    check(records, row, bad);
    const Part part = part_of(rows++);
    ++counts_[part];
    if (part == Part::train) statistics.add(row);
  }
  if (!bad.count_by_column.empty()) {
    std::string all;
    for (const auto& [column, n] : bad.count_by_column) all += fmt::format("{}{} ({} times)", all.empty() ? "" : ", ", column_text(column), n);
    throw data_error(
        "{}. All such fields in the file of {} rows: {}. Hint: before sharding, fill or remove these rows, and encode text "
        "as numbers{}",
        bad.first, rows, all, has_header_ ? "" : "; if the first line is a header, use --header yes");
  }
  if (counts_[Part::train] == 0) throw data_error("'{}': {} rows, but none in the train part (--test {})", records.name(), rows, options_.test_fraction);
  mean_ = statistics.mean();
  deviation_ = statistics.deviation();
  for (std::size_t i = 0; i < columns_; ++i) {
    if (i < features_ ? options_.standardize : options_.standardize_targets) continue;
    mean_[i] = 0;
    deviation_[i] = 1;
  }
}

std::vector<SourceAttribute> CsvSource::attributes() const {
  std::vector<SourceAttribute> list;
  const auto add = [&](bool of_labels) {
    const auto first = of_labels ? static_cast<std::ptrdiff_t>(features_) : 0;
    const auto end = static_cast<std::ptrdiff_t>(of_labels ? columns_ : features_);
    list.push_back({of_labels, "mean", {mean_.begin() + first, mean_.begin() + end}});
    list.push_back({of_labels, "deviation", {deviation_.begin() + first, deviation_.begin() + end}});
    list.push_back({of_labels, "standardized", {1.0}});  // an attribute `mean` alone may describe rows that are not standardized
  };
  if (options_.standardize) add(false);
  if (options_.standardize_targets) add(true);
  return list;
}

void CsvSource::stream(const PerPart<SampleRange>& wanted, const SampleSink& sink) const {
  constexpr std::int64_t block = 1024;
  CsvRecords records(path_);
  if (has_header_) records.next();
  struct Block {
    std::int64_t rows = 0;
    std::vector<std::byte> features, labels;
  };
  PerPart<Block> blocks;
  PerPart<std::int64_t> seen{0, 0};
  const auto deliver = [&](Part part) {
    Block& ready = blocks[part];
    if (ready.rows > 0) sink(part, ready.rows, ready.features, ready.labels);
    ready.rows = 0;
    ready.features.clear();
    ready.labels.clear();
  };
  const auto done = [&] { return std::ranges::all_of(all_parts, [&](Part p) { return seen[p] >= wanted[p].end; }); };
  for (std::int64_t row = 0; !done(); ++row) {
    if (!records.next() || records.fields().size() != columns_) throw data_error("'{}' changed while it was read (at line {})", records.name(), records.line());
    const Part part = part_of(row);
    const std::int64_t index = seen[part]++;
    if (index < wanted[part].first || index >= wanted[part].end) continue;
    Block& filling = blocks[part];
    for (std::size_t i = 0; i < columns_; ++i) {
      const double value = (number(records.fields()[i]).value_or(0.0) - mean_[i]) / deviation_[i];
      if (i < features_)
        append(filling.features, layout_.feature_type, value);
      else
        append(filling.labels, layout_.label_type, value);
    }
    if (++filling.rows == block) deliver(part);
  }
  for (const Part part : all_parts) deliver(part);
}

namespace {

CsvOptions csv_options(const ImporterOptions& values) {
  CsvOptions options;
  options.classes = values.flag("classes");
  options.standardize = values.flag("standardize");
  options.standardize_targets = values.flag("standardize-targets");
  options.float64 = values.flag("float64");
  options.targets = values.integer("targets");
  options.test_fraction = values.real("test");
  options.seed = static_cast<std::uint64_t>(values.integer("seed"));
  if (options.classes && values.given("targets"))
    throw usage_error("--classes and --targets exclude each other: either the last column is a class, or the last columns are float targets");
  if (options.classes && options.standardize_targets)
    throw usage_error("--classes and --standardize-targets exclude each other: class indices cannot be standardized");
  if (!(options.test_fraction >= 0 && options.test_fraction < 1))
    throw usage_error("--test {} is out of range. Expected a fraction of the rows, at least 0 and less than 1", options.test_fraction);
  const std::vector<std::string> legal{"auto", "yes", "no"};
  const std::string& header = values.text("header");
  const auto at = std::ranges::find(legal, header);
  if (at == legal.end()) throw usage_error("--header {} is not valid. Expected auto, yes or no{}", header, near_hint(header, legal));
  options.header = static_cast<CsvOptions::Header>(at - legal.begin());
  return options;
}

}  // namespace

TRIREME_IMPORTER(csv) {
  using enum ImporterOption::Type;
  return {
      .source = "a text file with numbers, separated by comma, semicolon, tab or blanks; it may be compressed (.gz)",
      .help = "table in a text file",
      .options = {{"targets", integer, "1", "number of last columns that are float targets", 1, 1'000'000},
                  {"classes", flag, "", "the last column is a class index (0, 1, ...) instead of a target"},
                  {"test", real, "0.2", "fraction of the rows that goes to DIR/test; a hash of (seed, row) selects them"},
                  seed_option("random seed that selects the rows for DIR/test"),
                  {"header", ImporterOption::Type::text, "auto", "whether the first row contains column names: auto, yes or no"},
                  {"float64", flag, "", "store features and targets in double precision (default: float32)"},
                  {"standardize", flag, "",
                   "scale each feature to mean 0 and standard deviation 1 over the training rows; attributes of /x keep both "
                   "numbers"},
                  {"standardize-targets", flag, "", "scale each target in the same way; attributes of /y keep both numbers"}},
      .open = [](const std::filesystem::path& source, const ImporterOptions& options) { return std::make_unique<CsvSource>(source, csv_options(options)); }};
}

}  // namespace trireme

#include "io/importers/csv_records.hpp"

#include <algorithm>
#include <cstring>

#include "base/error.hpp"
#include "base/text.hpp"

namespace trireme {

namespace {

constexpr std::size_t longest_line = std::size_t{1} << 26;
constexpr std::size_t longest_quoted_record = std::size_t{1} << 20;
constexpr std::int64_t most_quoted_lines = 100;  // per record; otherwise an unpaired quote would make the rest of the file one record

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

char find_separator(std::string_view record) {
  for (const char candidate : {',', ';', '\t'}) {
    bool quoted = false;
    for (const char c : record) {
      if (c == '"') quoted = !quoted;
      if (c == candidate && !quoted) return candidate;
    }
  }
  return ' ';
}

}  // namespace

CsvRecords::CsvRecords(const std::filesystem::path& path) : stream_(ByteStream::of_file(path)), buffer_(std::size_t{1} << 18) {}

bool CsvRecords::read_line(std::string& line) {
  const std::size_t before = line.size();
  while (true) {
    if (at_ == have_) {
      at_ = 0;
      have_ = stream_.read(buffer_);
      if (have_ == 0) {
        if (line.size() == before) return false;
        break;  // the last line may have no line end
      }
    }
    const char* const begin = reinterpret_cast<const char*>(buffer_.data()) + at_;
    const auto* const end = static_cast<const char*>(std::memchr(begin, '\n', have_ - at_));
    const std::size_t n = end ? static_cast<std::size_t>(end - begin) : have_ - at_;
    line.append(begin, n);
    at_ += n + (end ? 1 : 0);
    if (end) break;
    if (line.size() > longest_line)
      throw data_error("'{}', line {}: no end of line within {}. Hint: this is not a text file", name(), lines_read_ + 1,
                       human_bytes(static_cast<double>(longest_line)));
  }
  ++lines_read_;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

bool CsvRecords::next() {
  std::string_view text;
  do {
    record_.clear();
    if (!read_line(record_)) return false;
    if (lines_read_ == 1 && record_.starts_with("\xEF\xBB\xBF")) record_.erase(0, 3);  // a byte order mark
    text = trim(record_);
  } while (text.empty() || text.front() == '#');
  first_line_ = lines_read_;
  if (separator_ == 0) separator_ = find_separator(record_);
  while (!split()) {
    record_ += '\n';
    if (record_.size() > longest_quoted_record || lines_read_ - first_line_ >= most_quoted_lines || !read_line(record_))
      throw data_error("'{}', line {}: a quoted field is not closed within {} lines and {}. Hint: look for an unpaired \" on that line", name(), first_line_,
                       most_quoted_lines, human_bytes(static_cast<double>(longest_quoted_record)));
  }
  return true;
}

bool CsvRecords::split() {
  fields_.clear();
  unquoted_.clear();
  unquoted_.reserve(record_.size());  // views into it must stay valid
  const bool blanks = separator_ == ' ';
  const char* at = record_.data();
  const char* const end = at + record_.size();
  const auto skip_blanks = [&] {
    while (at != end && is_blank(*at) && *at != separator_) ++at;
    while (blanks && at != end && is_blank(*at)) ++at;
  };
  while (true) {
    skip_blanks();
    if (at != end && *at == '"') {
      const char* const quote = at;
      const char* const first = unquoted_.data() + unquoted_.size();
      for (++at;; ++at) {
        if (at == end) return false;
        if (*at == '"' && (at + 1 == end || at[1] != '"')) break;
        if (*at == '"') ++at;
        unquoted_ += *at;
      }
      ++at;
      skip_blanks();
      fields_.push_back(trim(std::string_view(first, static_cast<std::size_t>(unquoted_.data() + unquoted_.size() - first))));
      if (!blanks && at != end && *at != separator_) {  // text after the closing quote: use the field unchanged
        while (at != end && *at != separator_) ++at;
        fields_.back() = trim(std::string_view(quote, static_cast<std::size_t>(at - quote)));
      }
    } else {
      const char* const first = at;
      while (at != end && !(blanks ? is_blank(*at) : *at == separator_)) ++at;
      fields_.push_back(trim(std::string_view(first, static_cast<std::size_t>(at - first))));
      if (blanks) skip_blanks();
    }
    if (at == end) return true;
    if (!blanks) ++at;  // the separator; a field, maybe empty, follows it
  }
}

std::string CsvRecords::separator_text() const {
  if (separator_ == ' ') return "blanks";
  if (separator_ == '\t') return "a tab";
  return std::string("'") + separator_ + "'";
}

}  // namespace trireme

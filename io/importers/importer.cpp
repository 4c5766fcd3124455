#include "io/importers/importer.hpp"

#include <charconv>

#include "base/error.hpp"
#include "base/registry.hpp"

namespace trireme {

namespace {

template <class Number>
bool parse(const std::string& text, Number& value) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, value);
  return result.ec == std::errc() && result.ptr == end;
}

}  // namespace

ImporterOptions::ImporterOptions(const std::vector<ImporterOption>& options, std::map<std::string, std::string> given)
    : options_(options), given_(std::move(given)) {}

const ImporterOption& ImporterOptions::option(const std::string& name) const { return entry_of(options_, name); }

const std::string& ImporterOptions::text(const std::string& name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? option(name).fallback : found->second;
}

std::int64_t ImporterOptions::integer(const std::string& name) const {
  const ImporterOption& spec = option(name);
  std::int64_t value = 0;
  if (!parse(text(name), value) || value < spec.low || value > spec.high)
    throw usage_error("--{} {}: expected a whole number from {} to {}", name, text(name), spec.low, spec.high);
  return value;
}

double ImporterOptions::real(const std::string& name) const {
  double value = 0;
  if (!parse(text(name), value)) throw usage_error("--{} {}: expected a number", name, text(name));
  return value;
}

void FileSource::stream(const PerPart<SampleRange>&, const SampleSink&) const { throw internal_error("this source writes its files itself"); }

}  // namespace trireme

#include "config/detail/section_keys.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "config/detail/keys.hpp"
#include "config/key_spec.hpp"

namespace trireme::detail {

namespace {

using Type = KeySpec::Type;

SectionKind array_kind() {
  return {"array",
          "An array of a sample: what it consists of, and where it is in the files. `[array features]` and `[array labels]` replace `data.features` and "
          "`data.labels`; docs/data.md explains the layouts.",
          {
              key("array.data", Type::text, "",
                  "HDF5 datasets, separated by commas; several are joined along the channels. NAME[:, 1:29] selects a part of the stored extents, as in "
                  "Python. NAME/MEMBER is a member of records. NAME@ATTRIBUTE is an attribute. NAME may contain * for one group per sample. A single "
                  "number, or numbers without pixels, fill their channels. Empty: /x for features, /y for labels, / and the array's name for others."),
              key("array.axes", Type::text, "",
                  "Stored axes in the file's order, slowest first, separated by commas: sample, time, channel, z, y (or lat), x (or lon). Trireme transposes "
                  "while it reads. An array without sample and time is the same for all samples of its file. Empty: sample first (time first with a "
                  "window), then channel, z, y, x."),
              key("array.window", Type::text, "",
                  "Time steps of a sample, relative to the sample's time: -3..0 (history), 1 (lead), 1..4, or a list such as -6, 0. They become channels, "
                  "the earliest first. A window never crosses the end of a file or of a trajectory. Empty: the sample's time."),
              key("array.file", Type::text, "",
                  "File that holds this array for all files of the data set, such as static fields. Empty: the file itself, or see replace."),
              key("array.replace", Type::text, "",
                  "FROM -> TO: this array is in another file, whose path has TO in place of the last FROM. Example: _x.h5 -> _y.h5. Empty: off."),
              number("array.scale", Type::real, "1", {}, "Factor that multiplies every number of the array. It may be a fraction such as 1/255."),
              key("array.mean", Type::text, "",
                  "Mean to subtract after scaling, (v * scale - mean) / std: one number for each channel, or one for all. auto: computed from the training "
                  "data, and kept in checkpoints. FILE:/DATASET: read from a file. Empty: 0."),
              key("array.std", Type::text, "",
                  "Standard deviation to divide by after subtracting the mean, in the same form as mean. A label's loss is then in units of std; metrics and "
                  "predictions are in the units of the file. Empty: 1."),
          }};
}

/// [loss NAME] has the keys of [loss], and what the loss belongs to.
SectionKind loss_section_kind() {
  SectionKind kind{
      "loss",
      "One of several losses, which are added. `[loss NAME]` sections replace `[loss]`. Each has the keys of `[loss]`, and those below. The network's "
      "output is then the outputs of the named layers, joined along the channels in the order of the sections.",
      {key("loss.of", Type::text, "", "Name of the layer whose output the loss compares. Required."),
       key("loss.target", Type::text, "labels", "Name of the array that holds the targets. Several losses may share one."),
       number("loss.weight", Type::real, "1", {.low = 0}, "Factor of this loss in the sum.")}};
  for (const KeySpec& spec : deck_keys())
    if (section_of(spec.name) == "loss") kind.keys.push_back(spec);
  return kind;
}

}  // namespace

const std::vector<SectionKind>& section_kinds() {
  static const std::vector<SectionKind> kinds{array_kind(), loss_section_kind()};
  return kinds;
}

const SectionKind* find_section_kind(std::string_view kind) {
  const auto at = std::ranges::find(section_kinds(), kind, &SectionKind::name);
  return at == section_kinds().end() ? nullptr : &*at;
}

std::string named_section(std::string_view section, const std::string& where) {
  const auto space = section.find(' ');
  const SectionKind* kind = find_section_kind(trim(section.substr(0, space)));
  const auto& plain = deck_sections();
  if (kind == nullptr || (space == section.npos && std::ranges::find(plain, section) != plain.end())) return {};
  const std::string_view name = space == section.npos ? std::string_view{} : trim(section.substr(space));
  const auto legal = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (name.empty() || !std::ranges::all_of(name, legal))
    throw usage_error("{}: [{}] needs a name of letters, digits, '_' and '-', as in [{} features]", where, section, kind->name);
  return fmt::format("{}.{}", kind->name, name);
}

}  // namespace trireme::detail

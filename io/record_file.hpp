// The small files of a run directory (deck.ini, metrics.jsonl, owner.json...): read whole or not at all, and put anew under their names. Nothing is ever
// written through a symbolic link, nor over a device or a folder that stands under a record's name.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "io/retry.hpp"

namespace trireme {

/// All bytes of a file; nothing where no file stands under the name (ENOENT: of all errors the only one that says so). Whatever else fails is tried again
/// `retries` times, and then a checkpoint error: a record that cannot be read at the moment must not be taken for one that is not there.
std::optional<std::string> read_record(const std::filesystem::path& file, int retries = usual_retries);

/// A new file with `text` under the name: made beside it as ".NAME.TAG.partial", brought to the disk, renamed. A symbolic link under the name is replaced.
/// Errors that may pass are tried again.
void replace_record(const std::filesystem::path& file, const std::string& tag, std::string_view text, int retries = usual_retries);

/// Whether a file of this name in a run directory is what replace_record(), the watchdog or an earlier version left half done there.
bool is_unfinished_record(const std::string& name);

}  // namespace trireme

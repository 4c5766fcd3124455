#include "base/text_file.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include "base/text.hpp"

namespace trireme {

std::string read_text(const std::filesystem::path& file, std::string& text) {
  text.clear();
  if (std::error_code ignored; std::filesystem::is_directory(file, ignored)) return "it is a directory";
  errno = 0;
  std::ifstream stream(file, std::ios::binary);
  const auto reason = [] { return std::generic_category().message(errno != 0 ? errno : EIO); };
  if (!stream.is_open()) return reason();
  std::string piece(std::size_t{1} << 16, '\0');
  while (stream) {
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    if (stream.bad()) return reason();
    text.append(piece, 0, static_cast<std::size_t>(stream.gcount()));
    if (text.size() > largest_text) {
      text.clear();
      return fmt::format("it is larger than {}, the limit for text files of settings", human_bytes(static_cast<double>(largest_text)));
    }
  }
  return {};
}

}  // namespace trireme

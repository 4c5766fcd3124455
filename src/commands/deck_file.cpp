#include "commands/deck_file.hpp"

#include "base/error.hpp"
#include "base/text_file.hpp"

namespace trireme {

Deck shared_deck(const Communicator& comm, const std::filesystem::path& file, const std::vector<std::string>& overrides) {
  std::string text;
  comm.together([&] {
    if (comm.rank() != 0) return;
    if (const std::string why = read_text(file, text); !why.empty())
      throw usage_error("deck '{}' cannot be read: {}. Hint: give the path of an INI file, such as one of those in inputs/", file.string(), why);
  });
  return Deck(comm.broadcast(text), file.string(), overrides);
}

}  // namespace trireme

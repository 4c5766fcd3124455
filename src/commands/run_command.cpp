// Finding a command and running it; help and version.
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "base/error.hpp"
#include "base/open_output.hpp"
#include "base/registry.hpp"
#include "base/text.hpp"
#include "commands/commands.hpp"
#include "commands/help_topics.hpp"

namespace trireme {

namespace {

std::vector<CommandKind> in_order() {
  std::vector<CommandKind> all = command_kinds();
  std::ranges::stable_sort(all, {}, &CommandKind::place);
  return all;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const CommandKind& command : in_order()) names.push_back(command.name);
  return names;
}

void print_overview() {
  std::printf("Trireme trains neural networks on supercomputers.\n\nUsage: trireme COMMAND ..., under mpiexec or srun for several ranks\n\n");
  for (const CommandKind& command : in_order()) std::printf("  %-9s %s\n", command.name.c_str(), command.help.c_str());
  std::printf(
      "\ntrireme COMMAND --help explains the options of a command. trireme help deck prints the reference of the deck, trireme help TOPIC one deck key,\n"
      "section, layer, loss, optimizer or other kind. trireme --version prints the version.\n\n"
      "Exit codes: 0 done, 1 internal or lost output, 2 usage or deck, 3 data, 4 checkpoint or run directory, 5 loss not finite, 7 ranks did not arrive\n"
      "(run.hang_timeout), 75 stopped early with a whole checkpoint: start the same command again, 76 a later run took the run directory over.\n");
}

bool is_help(const std::string& word) { return word == "--help" || word == "-h"; }

int run_help(const Communicator& comm, const Arguments& arguments) {
  const std::string topic = arguments.operands() == 0 ? "" : arguments.operand(0, "");
  const auto names = command_names();
  const auto command = std::ranges::find(command_kinds(), topic, &CommandKind::name);
  std::string text;
  if (command != command_kinds().end() && !command->run_words)
    text = command->full_help();
  else if (command != command_kinds().end())
    return command->run_words(comm, {"--help"});
  else if (!topic.empty())
    text = help_of_topic(topic, names);
  if (comm.rank() != 0) return 0;
  if (text.empty())
    print_overview();
  else
    std::printf("%s", text.c_str());
  return 0;
}

}  // namespace

std::string CommandKind::usage() const {
  return fmt::format("trireme {}{}{}{}{}", name, operands.empty() ? "" : " ", operands, usage_of(options), overrides ? " [--section.key=value ...]" : "");
}

std::string CommandKind::full_help() const {
  std::string text = usage() + "\n\n" + help + "\n";
  if (const std::string lines = help_of(options); !lines.empty()) text += "\nOptions\n" + lines;
  if (overrides) text += fmt::format("  {:<24} {}\n", "--section.key=value", "the value of a deck key, instead of the deck's; trireme help deck lists all");
  return text;
}

int run_with(const Communicator& comm, const CommandKind& command, const std::vector<std::string>& words) {
  if (std::ranges::any_of(words, is_help)) {
    if (comm.rank() == 0) std::printf("%s", command.full_help().c_str());
    return 0;
  }
  return command.run(comm, Arguments(words, command.usage(), command.options, command.overrides, command.operands_most));
}

namespace {

int find_and_run(const Communicator& comm, const std::vector<std::string>& words) {
  if (words.empty() || is_help(words[0])) {
    if (comm.rank() == 0) print_overview();
    return words.empty() ? static_cast<int>(ExitCode::usage) : 0;
  }
  if (words[0] == "--version") {
    if (comm.rank() == 0) std::printf("%s", version_text().c_str());
    return 0;
  }
  const auto found = std::ranges::find(command_kinds(), words[0], &CommandKind::name);
  const auto names = command_names();
  if (found == command_kinds().end())
    throw usage_error("unknown command '{}'. Hint: {}Commands are {}", words[0], did_you_mean(words[0], names), fmt::join(names, ", "));
  const std::vector<std::string> rest(words.begin() + 1, words.end());
  return found->run_words ? found->run_words(comm, rest) : run_with(comm, *found, rest);
}

/// Why text on standard output was lost; empty: all of it was written.
std::string output_fault(bool help) {
  if (output_is_closed()) return "it is closed";
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int number = errno;
  if (flushed && std::ferror(stdout) == 0) return {};
  pollfd state{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  const bool reader_left = poll(&state, 1, 0) > 0 && (state.revents & POLLERR) != 0;
  if (reader_left && help) return {};  // trireme help deck | head
  if (reader_left) return "the program that reads it has ended";
  return flushed ? "an earlier write failed, because its disk is full or cannot be written" : std::generic_category().message(number);
}

bool needs_output(const std::vector<std::string>& words) {
  const auto found = words.empty() ? command_kinds().end() : std::ranges::find(command_kinds(), words[0], &CommandKind::name);
  return found == command_kinds().end() || found->needs_output || std::ranges::any_of(words, is_help);
}

}  // namespace

int run_command(const Communicator& comm, const std::vector<std::string>& words) {
  const int code = find_and_run(comm, words);
  if (!needs_output(words)) return code;
  comm.together([&] {
    if (comm.rank() != 0) return;
    if (const std::string fault = output_fault(asks_for_help(words)); !fault.empty())
      throw internal_error("text on standard output was lost: {}. Hint: run the command again with its output in a file on a disk with free space", fault);
  });
  return code;
}

bool asks_for_help(const std::vector<std::string>& words) {
  return words.empty() || words[0] == "help" || words[0] == "--version" || std::ranges::any_of(words, is_help);
}

TRIREME_COMMAND(help) {
  return {.operands = "[deck | COMMAND | KEY | SECTION | KIND]",
          .help = "Explains a command, a deck key (data.batch), a section ([data]), a kind of layer, loss or optimizer; deck: all of it.",
          .place = 8,
          .run = run_help};
}

}  // namespace trireme

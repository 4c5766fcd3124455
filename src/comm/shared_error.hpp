// An error of one rank that all ranks of a communicator throw; it holds the rank and host of its origin.
#pragma once

#include <string>

#include "base/error.hpp"

namespace trireme {

class SharedError : public Error {
 public:
  SharedError(ExitCode code, const std::string& message, int rank, std::string host) : Error(code, message), rank_(rank), host_(std::move(host)) {}
  int rank() const noexcept { return rank_; }  // in the job
  const std::string& host() const noexcept { return host_; }

 private:
  int rank_;
  std::string host_;
};

/// Host name of this process.
std::string host_name();

}  // namespace trireme

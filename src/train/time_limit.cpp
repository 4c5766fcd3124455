#include "train/time_limit.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "base/log.hpp"

namespace trireme {

namespace {

const double process_start = TimeLimit::now();

std::optional<double> end_of_job() {
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr || *text == '\0') return {};
  char* end = nullptr;
  const double when = std::strtod(text, &end);
  if (*end != '\0' || !std::isfinite(when)) {
    log::warn("SLURM_JOB_END_TIME = '{}' is not a number of seconds since 1970: this run does not know when its job ends", text);
    return {};
  }
  if (when <= process_start) {  // a shell that outlived the job it was made in
    log::warn("SLURM_JOB_END_TIME = {} had passed when this run began; it is not heeded", text);
    return {};
  }
  return when;
}

}  // namespace

double TimeLimit::now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

TimeLimit::TimeLimit(double limit, double margin, double guess) : margin_(margin), checkpoint_(guess), end_(end_of_job()) {
  if (limit > 0) end_ = std::min(process_start + limit, end_.value_or(process_start + limit));
}

bool TimeLimit::near(double now) {
  if (looked_) longest_ = std::max(longest_, now - *looked_);
  looked_ = now;
  near_ = near_ || (end_ && left(now) <= needed());
  return near_;
}

void TimeLimit::checkpoint_took(double seconds) {
  checkpoint_ = measured_ ? std::max(checkpoint_, seconds) : seconds;
  measured_ = true;
}

}  // namespace trireme

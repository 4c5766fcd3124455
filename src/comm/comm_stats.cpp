#include "comm/comm_stats.hpp"

namespace trireme {

void Meter::end_step() {
  total_.messages += now_.messages;
  total_.bytes += now_.bytes;
  total_.waited += now_.waited;
  total_.under_way += now_.under_way;
  if (last_.size() < remembered) last_.resize(remembered);
  last_[steps_++ % remembered] = now_.waited;
}

std::vector<double> Meter::last_waits() const {
  return std::vector<double>(last_.begin(), last_.begin() + static_cast<std::ptrdiff_t>(steps_ < remembered ? steps_ : remembered));
}

void Meter::begin() {
  if (coming_++ == 0) since_.reset();
}

void Meter::end() {
  if (--coming_ == 0) now_.under_way += since_.seconds();
}

}  // namespace trireme

#include "parallel/halo_overlap.hpp"

#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <algorithm>

#include "base/error.hpp"

namespace trireme {

namespace {

// The interior is computed in so many pieces at most, with a look at MPI in between, none of fewer multiply-adds than this.
constexpr std::int64_t most_looks = 4, smallest_look = std::int64_t{1} << 24;
// Every piece packs the parameters again. That costs little where they are few, or much is made of each: multiply-adds for each parameter and slab of the
// border.
constexpr std::int64_t few_parameters = 4096, smallest_reuse = 1024;

std::int64_t up(std::int64_t n, std::int64_t size) { return (n + size - 1) / size; }

/// Whether the pixels of `part`, a box within an array of `whole`, are one run of memory.
bool is_run(const Box& part, const Box& whole) {
  std::size_t a = 0;
  while (a < 3 && part.extent[a] == 1) ++a;
  for (++a; a < 3; ++a)
    if (part.extent[a] != whole.extent[a]) return false;
  return true;
}

std::int64_t place_in(const Box& part, const Box& whole) {
  std::int64_t at = 0;
  for (std::size_t a = 0; a < 3; ++a) at = at * whole.extent[a] + part.first[a] - whole.first[a];
  return at;
}

/// The dimension whose planes lie one behind the other.
std::size_t slowest(const Box& had, const Box& output) {
  std::size_t a = 0;
  while (a < 2 && had.extent[a] == 1 && output.extent[a] == 1) ++a;
  return a;
}

Box slab(const Box& box, std::size_t a, std::int64_t first, std::int64_t end) {
  Box part = box;
  part.first[a] = first;
  part.extent[a] = end - first;
  return part;
}

template <class T>
std::int64_t count_of_parameters(const Layer<T>& layer) {
  std::int64_t count = 0;
  for (const ParameterSpec& parameter : layer.parameters()) count += parameter.shape.size();
  return count;
}

}  // namespace

OutputCut cut_output(const Box& output, const Box& had, const std::function<Box(const Box&)>& reach) {
  OutputCut cut{output, {}};
  for (std::size_t a = 0; a < 3; ++a) {
    const auto fits = [&](std::int64_t first, std::int64_t end) {
      const Box read = reach(slab(output, a, first, end));
      return read.first[a] >= had.first[a] && read.end(a) <= had.end(a);
    };
    std::int64_t low = output.first[a], high = output.end(a);
    while (low < high && !fits(low, low + 1)) ++low;
    while (low < high && !fits(high - 1, high)) --high;
    if (low < high && !fits(low, high)) high = low;  // reflect padding reads farther in the middle than at the ends
    cut.interior = slab(cut.interior, a, low, high);
  }
  Box rest = output;
  for (std::size_t a = 0; a < 3; ++a) {
    if (cut.interior.first[a] > rest.first[a]) cut.border.push_back(slab(rest, a, rest.first[a], cut.interior.first[a]));
    if (cut.interior.end(a) < rest.end(a)) cut.border.push_back(slab(rest, a, cut.interior.end(a), rest.end(a)));
    rest = slab(rest, a, cut.interior.first[a], cut.interior.end(a));
  }
  return cut;
}

template <class T>
Box HaloOverlap<T>::reach(const Box& output, const Epilogue& tail) const {
  Box made;
  for (std::size_t a = 0; a < 3; ++a) {
    made.first[a] = parts_.part.output.first[a] + output.first[a] * tail.window[a];
    made.extent[a] = output.extent[a] * tail.window[a];
  }
  return parts_.reach(made);
}

template <class T>
bool HaloOverlap<T>::is_worth(const OutputCut& cut, const Layer<T>& whole) const {
  const std::int64_t packed = static_cast<std::int64_t>(cut.border.size()) * count_of_parameters(whole);
  return 2 * cut.interior.pixels() >= output_.pixels() && packed <= std::max(few_parameters, whole.multiply_adds() / smallest_reuse);
}

template <class T>
std::int64_t HaloOverlap<T>::state_elements(const Piece& piece) const {
  return up(piece.output.pixels() * output_channels_ * state_bytes_, static_cast<std::int64_t>(sizeof(T)));
}

template <class T>
void HaloOverlap<T>::add(const Box& output, bool inside, const Epilogue& tail, ComputeType operands) {
  Piece piece{reach(output, tail), output, nullptr, is_run(output, output_), place_in(output, output_) * output_channels_};
  if (inside)  // whole planes, where they are
    for (std::size_t a = slowest(had_, output_) + 1; a < 3; ++a) piece.input = slab(piece.input, a, had_.first[a], had_.end(a));
  LayerPart part = parts_.part;
  part.input = piece.input;
  for (std::size_t a = 0; a < 3; ++a) {
    part.output.first[a] += output.first[a] * tail.window[a];
    part.output.extent[a] = output.extent[a] * tail.window[a];
  }
  piece.layer = parts_.make(part);
  piece.layer->plan_for(1, operands);
  if (!tail.empty()) {
    FusesEpilogue* const fuses = capability<FusesEpilogue>(*piece.layer);
    if (fuses == nullptr || fuses->fuse(tail) == Fusion::none) throw internal_error("the partitioned layer rejected an epilogue that the full layer accepted");
  }
  if (piece.layer->output().size() != output.pixels() * output_channels_) throw internal_error("a part of a layer makes another box than it was made for");
  workspace_ = std::max(workspace_, piece.layer->needs().workspace);
  const std::int64_t of_input = inside ? 0 : piece.input.pixels() * channels_,
                     of_output = piece.in_place ? 0 : output.pixels() * output_channels_ + state_elements(piece);
  scratch_ = std::max(scratch_, of_input + of_output);
  pieces_.push_back(std::move(piece));
}

template <class T>
void HaloOverlap<T>::make(const Layer<T>& whole, const Epilogue& tail, ComputeType operands, std::int64_t scratch) {
  pieces_.clear();
  inside_ = 0, workspace_ = 0, scratch_ = 0;
  output_ = Box{{0, 0, 0}, spatial_extents(whole.output())};
  output_channels_ = channels_of(whole.output());
  state_bytes_ = whole.needs().state_per_sample / whole.output().size();
  const OutputCut cut = cut_output(output_, had_, [&](const Box& box) { return reach(box, tail); });
  if (!is_worth(cut, whole)) return;

  const std::size_t a = slowest(had_, output_);
  const Box& inside = cut.interior;
  const std::int64_t planes = inside.extent[a], elements = inside.pixels() * output_channels_;
  const std::int64_t multiply_adds = whole.multiply_adds() / output_.pixels() * inside.pixels();
  const std::int64_t fewest = std::max(smallest_look, smallest_reuse * count_of_parameters(whole));
  std::int64_t count = on_host ? std::clamp<std::int64_t>(multiply_adds / fewest, 1, most_looks) : 1;
  if (!is_run(inside, output_)) count = std::max(count, up(elements + up(elements * state_bytes_, sizeof(T)), scratch));
  const std::int64_t each = up(planes, std::min(count, planes));
  for (std::int64_t first = 0; first < planes; first += each)
    add(slab(inside, a, inside.first[a] + first, inside.first[a] + std::min(planes, first + each)), true, tail, operands);
  inside_ = pieces_.size();
  for (const Box& box : cut.border) add(box, false, tail, operands);
}

template <class T>
void HaloOverlap<T>::bind(const typename Layer<T>::Memory& memory) {
  for (Piece& piece : pieces_) piece.layer->bind(memory);
}

template <class T>
void HaloOverlap<T>::run(Piece& piece, const Pass& pass, Span<const T> input, Span<T> output, Span<std::uint8_t> state, Span<T> scratch) const {
  const std::int64_t elements = piece.output.pixels() * output_channels_, bytes = elements * state_bytes_;
  const bool keeps = pass.training && state.size() > 0;
  const Span<T> to = piece.in_place ? slice<T>(output, piece.at, elements) : slice<T>(scratch, 0, elements);
  Span<std::uint8_t> kept;
  if (keeps)
    kept = piece.in_place ? slice<std::uint8_t>(state, piece.at * state_bytes_, bytes)
                          : Span<std::uint8_t>(reinterpret_cast<std::uint8_t*>(scratch.data() + elements), static_cast<std::size_t>(bytes));
  piece.layer->lend_state(kept);
  piece.layer->forward(pass, std::span(&input, 1), to);
  if (piece.in_place) return;
  copy_box<T>(pass.exec, 1, copy_between(piece.output, piece.output, output_, output_channels_), to, output);
  if (keeps) copy_box<std::uint8_t>(pass.exec, 1, copy_between(piece.output, piece.output, output_, output_channels_ * state_bytes_), kept, state);
}

template <class T>
void HaloOverlap<T>::interior(const Pass& pass, Span<const T> x, Span<T> output, Span<std::uint8_t> state, Span<T> scratch,
                              const std::function<void()>& between) {
  Kokkos::Profiling::ScopedRegion region("trireme::halo::interior");
  for (std::size_t p = 0; p < inside_; ++p) {
    Piece& piece = pieces_[p];
    run(piece, pass, slice<const T>(x, place_in(piece.input, had_) * channels_, piece.input.pixels() * channels_), output, state, scratch);
    between();
  }
}

template <class T>
void HaloOverlap<T>::border(const Pass& pass, const HaloExchange<T>& exchange, std::int64_t n, std::int64_t first, Span<const T> x, Span<T> output,
                            Span<std::uint8_t> state, Span<T> scratch) {
  Kokkos::Profiling::ScopedRegion region("trireme::halo::border");
  for (std::size_t p = inside_; p < pieces_.size(); ++p) {
    Piece& piece = pieces_[p];
    const std::int64_t elements = piece.input.pixels() * channels_;
    const Span<T> input = slice<T>(scratch, 0, elements);
    exchange.assemble(pass.exec, n, first, 1, x, exchange.received(n), piece.input, input);
    run(piece, pass, input, output, state, slice<T>(scratch, elements, static_cast<std::int64_t>(scratch.size()) - elements));
  }
}

template class HaloOverlap<float>;
template class HaloOverlap<double>;

}  // namespace trireme

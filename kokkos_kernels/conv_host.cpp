// Convolution on the host: forward and backward-data, which are one kernel over lists of taps. See conv.hpp.
#include "kokkos_kernels/detail/conv_host.hpp"

#include "kokkos_kernels/detail/conv_planar.hpp"
#include "kokkos_kernels/detail/conv_tail.hpp"
#include "kokkos_kernels/detail/conv_tiles.hpp"
#include "kokkos_kernels/detail/operands.hpp"
#include "kokkos_kernels/types.hpp"

namespace trireme {

using namespace detail;

namespace {

// Packed weights: for each group and block of destination channels, for each tap of the phase and source channel, the block's lanes.
// `transposed` takes input channels as the destination.
template <class T>
std::int64_t pack_weights(const Execution& exec, const ConvGeometry& g, const TapPhase& phase, bool transposed, const T* w, T* packed) {
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups, taps = g.taps();
  const std::int64_t to = transposed ? icg : ocg, from = transposed ? ocg : icg;
  const std::int64_t phase_taps = static_cast<std::int64_t>(phase.taps.size());
  const ChannelBlocks<T> blocks{to};
  const std::int64_t per_group = blocks.lanes(blocks.count()) * phase_taps * from;
  const std::int64_t* const tap_index = phase.taps.data();
  // All taps of a source channel together: they are neighbors in w.
  Kokkos::parallel_for("trireme::conv::pack_weights", Range(exec, 0, g.groups * blocks.count() * from), [=](std::int64_t item) {
    constexpr std::int64_t most = 32;
    const std::int64_t c = item % from, block = item / from % blocks.count(), group = item / from / blocks.count();
    const std::int64_t lanes = blocks.lanes(block + 1) - blocks.lanes(block), used = blocks.used(block), first = blocks.first(block);
    T* const out = packed + group * per_group + blocks.lanes(block) * phase_taps * from + c * lanes;
    const T* const in = w + (group * ocg * icg + (transposed ? c * icg + first : first * icg + c)) * taps;
    const std::int64_t next_lane = transposed ? taps : icg * taps;
    T some[most][2 * Simd<T>::width] = {};
    for (std::int64_t tap0 = 0; tap0 < phase_taps; tap0 += most) {
      const std::int64_t count = std::min(most, phase_taps - tap0);
      for (std::int64_t lane = 0; lane < used; ++lane)
        for (std::int64_t t = 0; t < count; ++t) some[t][lane] = in[lane * next_lane + tap_index[tap0 + t]];
      for (std::int64_t t = 0; t < count; ++t) std::copy_n(some[t], lanes, out + (tap0 + t) * from * lanes);
    }
  });
  return g.groups * per_group;
}

// Packed weights of one block that are walked before the next tile begins: as many kernel rows as stay in the first-level cache.
constexpr std::int64_t weights_budget = 20 * 1024;
// Bytes of z that a thread holds for the tail.
constexpr std::int64_t near_budget = 128 * 1024;

/// One launch: destination(phase) = tail(sum over taps of source).
template <class T>
struct PhaseRun {
  const HostPhase& h;
  std::int64_t groups;
  RowSource<T> source;
  Side destination;  // before the tail
  Epilogue tail;
  const T* packed;
  const T* bias;  // may be null
  T* y;
  std::uint8_t* index;
  T* scratch;  // per thread: window, a made row, z's rows

  bool pools() const { return tail.pools(); }
  std::int64_t from() const { return source.side.channels / groups; }
  std::int64_t to() const { return destination.channels / groups; }
  std::int64_t taps() const { return static_cast<std::int64_t>(h.phase.taps.size()); }
  std::int64_t lanes() const { return ChannelBlocks<T>{to()}.lanes(ChannelBlocks<T>{to()}.count()); }

  void lane_rows(const SourceRows<T>& rows, std::int64_t depth, std::int64_t row0, std::int64_t row_count, const FarRows<T>& target) const;
  void planar_rows(const SourceRows<T>& rows, std::int64_t depth, std::int64_t row0, std::int64_t row_count, const NearRows<T>& near, T* to_rows) const;
  void item(std::int64_t s, std::int64_t plane, std::int64_t row0, std::int64_t row_count, T* window, T* made, T* near) const;
};

/// Rows of one plane, channels last. `target.at`: row row0, pixel 0 of the phase, channel 0; where the tail pools that is the thread's own memory,
/// in which every block has all of its lanes.
template <class T>
void PhaseRun<T>::lane_rows(const SourceRows<T>& rows, std::int64_t depth, std::int64_t row0, std::int64_t row_count, const FarRows<T>& target) const {
  const TapPhase& phase = h.phase;
  const std::int64_t planes = static_cast<std::int64_t>(phase.offsets[0].size()), kernel_rows = static_cast<std::int64_t>(phase.offsets[1].size());
  const std::int64_t row_taps = static_cast<std::int64_t>(phase.offsets[2].size());
  const ChannelBlocks<T> blocks{to()};
  const std::int64_t per_group = lanes() * taps() * from();
  const Interval valid_planes = inside(phase.offsets[0], depth * h.stride[0], source.side.extent[0]);
  for (std::int64_t group = 0; group < groups; ++group)
    for (std::int64_t block = 0; block < blocks.count(); ++block) {
      const int registers = blocks.registers(block);
      const std::int64_t width = registers * Simd<T>::width, channel = group * to() + blocks.first(block);
      const T* const weights = packed + group * per_group + blocks.lanes(block) * taps() * from();
      T bias_lanes[2 * Simd<T>::width] = {};
      if (bias) std::copy_n(bias + channel, blocks.used(block), bias_lanes);
      TileJob<T> job{.runs = h.runs.data(),
                     .run_count = static_cast<std::int64_t>(h.runs.size()),
                     .source = rows.base + group * from(),
                     .plane_offsets = h.plane_offsets.data(),
                     .row_offsets = h.row_offsets.data(),
                     .plane_weights = kernel_rows * row_taps * from() * width,
                     .row_weights = row_taps * from() * width,
                     .source_pixel = h.stride[2] * source.side.channels,
                     .target_pixel = target.pixel,
                     .lanes = pools() ? width : blocks.used(block),
                     .bias = nullptr,
                     .acts = false,
                     .slope = static_cast<T>(tail.slope)};
      T* const block_target = target.at + (pools() ? group * lanes() + blocks.lanes(block) : channel);
      const std::int64_t tile = tile_size(phase.count[2], registers == 2 ? tile_limit<2> : tile_limit<1>);
      // The taps in parts whose weights stay near: all of them, or some kernel rows of one plane.
      const bool whole = planes * job.plane_weights * static_cast<std::int64_t>(sizeof(T)) <= weights_budget;
      const std::int64_t part_rows =
          whole ? kernel_rows : std::clamp<std::int64_t>(weights_budget / (job.row_weights * static_cast<std::int64_t>(sizeof(T))), 1, kernel_rows);
      const std::int64_t first_plane = valid_planes.first, last_plane = std::max(valid_planes.last, first_plane + 1);
      for (std::int64_t plane = first_plane; plane < last_plane; plane += whole ? last_plane - first_plane : 1)
        for (std::int64_t part = 0; part < std::max<std::int64_t>(kernel_rows, 1); part += std::max<std::int64_t>(part_rows, 1))
          for (std::int64_t row = 0; row < row_count; ++row) {
            const Interval valid = inside(phase.offsets[1], (row0 + row) * h.stride[1], source.side.extent[1]);
            const bool nothing = valid.first >= valid.last || valid_planes.first >= valid_planes.last;
            const TapRange range{plane,
                                 nothing ? plane
                                 : whole ? valid_planes.last
                                         : plane + 1,
                                 std::max(valid.first, part), std::min(valid.last, part + part_rows)};
            // The first part that has taps (or the only one, if none has) starts from the bias; the last one ends with the slope.
            const bool first = nothing ? part == 0 && plane == first_plane : plane == first_plane && valid.first >= part;
            const bool last = nothing ? first : (whole || plane + 1 == last_plane) && valid.last <= part + part_rows;
            if (range.empty() && !(nothing && first)) continue;
            job.bias = first ? bias_lanes : nullptr;
            job.acts = !pools() && tail.slope != 1 && last;
            T* const out = block_target + row * target.row;
            const std::int64_t origin = rows.origin(h, depth, row0 + row);
            for (std::int64_t p = 0; p < phase.count[2]; p += tile)
              select_tile<T>(static_cast<int>(std::min(tile, phase.count[2] - p)), registers)(job, range, origin + p * job.source_pixel, weights,
                                                                                              out + p * job.target_pixel);
          }
    }
}

/// Rows of one plane, planar, into the thread's own memory at `to_rows` (channel 0, row row0).
template <class T>
void PhaseRun<T>::planar_rows(const SourceRows<T>& rows, std::int64_t depth, std::int64_t row0, std::int64_t row_count, const NearRows<T>& near,
                              T* to_rows) const {
  const PlanarTiles<T> tiles = select_planar_tiles<T>(to());
  const std::int64_t registers = planar_columns<T>(h.phase.count[2]) / Simd<T>::width, all = row_count * registers;
  std::int64_t origins[8];
  T* targets[8];
  for (std::int64_t group = 0; group < groups; ++group) {
    const PlanarJob<T> job{&h,      rows.base + group * from() * h.channel_stride,  from(), packed + group * lanes() * taps() * from(),
                           lanes(), bias != nullptr ? bias + group * to() : nullptr};
    const std::int64_t deep = tile_size(all, tiles.depth);
    for (std::int64_t first = 0; first < all; first += deep) {
      const std::int64_t count = std::min(deep, all - first);
      for (std::int64_t v = 0; v < count; ++v) {
        const std::int64_t row = (first + v) / registers, column = (first + v) % registers * Simd<T>::width;
        origins[v] = rows.origin(h, depth, row0 + row) + column;
        targets[v] = to_rows + group * to() * near.channel + row * near.row + column;
      }
      tiles.forward[count - 1](job, origins, targets, near.channel);
    }
  }
}

/// Rows [row0, row0 + row_count) of the phase's destination in plane `plane`; where the tail pools, in all planes of window row `plane`.
template <class T>
void PhaseRun<T>::item(std::int64_t s, std::int64_t plane, std::int64_t row0, std::int64_t row_count, T* window, T* made, T* near_memory) const {
  const TapPhase& phase = h.phase;
  const std::int64_t depth0 = pools() ? plane * tail.window[0] : plane, depths = pools() ? tail.window[0] : 1;
  NearRows<T> near{.at = near_memory};
  if (h.planar) {
    near.pixel = 1, near.row = planar_columns<T>(phase.count[2]);
    near.plane = h.rows * near.row, near.channel = depths * near.plane;
  } else {
    near.pixel = groups * lanes(), near.row = phase.count[2] * near.pixel, near.plane = h.rows * near.row;
  }
  // Where y's rows lie: those of the phase, or the pooled ones.
  const auto extent = pools() ? std::array<std::int64_t, 3>{phase.count[0] / tail.window[0], phase.count[1] / tail.window[1], phase.count[2] / tail.window[2]}
                              : destination.extent;
  const std::int64_t y_plane = pools() ? plane : phase.first[0] + plane * phase.step[0],
                     y_row = pools() ? row0 / tail.window[1] : phase.first[1] + row0 * phase.step[1], y_column = pools() ? 0 : phase.first[2];
  const std::int64_t y_at = (((s * extent[0] + y_plane) * extent[1] + y_row) * extent[2] + y_column) * destination.channels;
  const FarRows<T> far{.at = y + y_at,
                       .index = index != nullptr ? index + y_at : nullptr,
                       .pixel = phase.step[2] * destination.channels,
                       .row = phase.step[1] * extent[2] * destination.channels};

  for (std::int64_t d = 0; d < depths; ++d) {
    const std::int64_t depth = depth0 + d;
    const SourceRows<T> rows = source_rows(h, source, s, depth, row0, row_count, window, made);
    if (h.planar)
      planar_rows(rows, depth, row0, row_count, near, near_memory + d * near.plane);
    else
      lane_rows(rows, depth, row0, row_count,
                pools() ? FarRows<T>{.at = near_memory + d * near.plane, .index = nullptr, .pixel = near.pixel, .row = near.row} : far);
  }
  const T slope = static_cast<T>(tail.slope);
  if (h.planar) {
    pool_planes(near, tail.window, row_count / tail.window[1], phase.count[2] / tail.window[2], destination.channels, slope, far);
  } else if (pools()) {
    for (std::int64_t group = 0; group < groups; ++group) {
      NearRows<T> of_group = near;
      of_group.at += group * lanes();
      FarRows<T> to_group = far;
      to_group.at += group * to();
      if (to_group.index != nullptr) to_group.index += group * to();
      pool_lanes(of_group, tail.window, row_count / tail.window[1], extent[2], to(), slope, to_group);
    }
  }
}

/// Elements of z that a thread holds at a time.
template <class T>
std::int64_t near_elements(const HostPhase& h, std::int64_t channels, std::int64_t groups, const Epilogue& tail) {
  const ChannelBlocks<T> blocks{channels / groups};
  const std::int64_t rows = tail.window[0] * h.rows;
  if (h.planar) return padded(channels * rows * planar_columns<T>(h.phase.count[2]));
  return tail.pools() ? padded(groups * blocks.lanes(blocks.count()) * rows * h.phase.count[2]) : 0;
}

/// Elements of scratch that one thread needs.
template <class T>
std::int64_t thread_scratch(const HostPhase& h, const Side& source, std::int64_t channels, std::int64_t groups, const Epilogue& tail) {
  return h.window + RowSource<T>::made_elements(source) + near_elements<T>(h, channels, groups, tail);
}

template <class T>
void run(const Execution& exec, std::int64_t n, const PhaseRun<T>& job) {
  const HostPhase& h = job.h;
  const std::int64_t planes = h.phase.count[0] / job.tail.window[0];
  const std::int64_t all_rows = h.phase.count[1] / job.tail.window[1] * job.tail.window[1], row_blocks = (all_rows + h.rows - 1) / h.rows;
  const std::int64_t per_thread = thread_scratch<T>(h, job.source.side, job.destination.channels, job.groups, job.tail);
  Kokkos::Experimental::UniqueToken<Execution> token(exec);
  Kokkos::parallel_for("trireme::conv::direct",
                       Kokkos::RangePolicy<Execution, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(exec, 0, n * planes * row_blocks),
                       [&](std::int64_t item) {
                         const std::int64_t row0 = item % row_blocks * h.rows;
                         const auto slot = token.acquire();
                         T* const window = job.scratch + slot * per_thread;
                         T* const made = window + h.window;
                         job.item(item / row_blocks / planes, item / row_blocks % planes, row0, std::min(h.rows, all_rows - row0), window, made,
                                  made + job.source.made_elements());
                         token.release(slot);
                       });
}

}  // namespace

template <class T>
ConvPlan<T>::ConvPlan(const ConvGeometry& g, const Epilogue& tail, ComputeType operands)
    : geometry_(g), tail_(tail), operands_(std::is_same_v<T, float> ? operands : ComputeType::full) {
  const auto host = std::make_shared<Host>();
  const std::int64_t icg = g.in_channels / g.groups, ocg = g.out_channels / g.groups;
  const ChannelBlocks<T> out_blocks{ocg}, in_blocks{icg};
  const bool few_out = ocg <= planar_limit<T> && g.stride[2] == 1, few_in = icg <= planar_limit<T>;
  const std::int64_t row_bytes = (few_out ? g.out_channels * planar_columns<T>(g.out[2]) : g.groups * out_blocks.lanes(out_blocks.count()) * g.out[2]) *
                                 tail.window[0] * static_cast<std::int64_t>(sizeof(T));
  const PhaseOptions forward{.channels = g.in_channels,
                             .groups = g.groups,
                             .element = sizeof(T),
                             .planar = few_out,
                             .row_multiple = tail.window[1],
                             .most_rows = few_out || tail.pools() ? near_budget / row_bytes : g.out[1]};
  host->forward = prepare(forward_taps(g), g.stride, g.in, forward);
  for (auto& phase : backward_taps(g)) {
    const std::int64_t bytes = g.in_channels * planar_columns<T>(phase.count[2]) * static_cast<std::int64_t>(sizeof(T));
    const PhaseOptions backward{.channels = g.out_channels,
                                .groups = g.groups,
                                .element = sizeof(T),
                                .planar = few_in,
                                .always_copies = tail.pools(),
                                .most_rows = few_in ? near_budget / bytes : g.in[1]};
    host->backward.push_back(prepare(std::move(phase), {1, 1, 1}, g.out, backward));
  }
  host->weights = WeightsPass<T>(g, tail);
  if (Winograd<T>::pays(g)) host->winograd.emplace(g), host->winograd_forward = Winograd<T>::fits(g, tail);

  const std::int64_t threads = Execution().concurrency();
  const std::int64_t packed = padded(g.groups * g.taps() * std::max(out_blocks.lanes(out_blocks.count()) * icg, in_blocks.lanes(in_blocks.count()) * ocg));
  std::int64_t scratch = thread_scratch<T>(host->forward, {g.in, g.in_channels}, g.out_channels, g.groups, tail);
  for (const HostPhase& phase : host->backward) scratch = std::max(scratch, thread_scratch<T>(phase, {g.out, g.out_channels}, g.in_channels, g.groups, {}));
  workspace_ = std::max(packed + threads * scratch, host->weights.workspace(threads));
  if (host->winograd) workspace_ = std::max(workspace_, host->winograd->workspace(threads));
  host_ = host;
}

template <class T>
std::int64_t ConvPlan<T>::workspace(std::int64_t n) const {
  if (operands_ == ComputeType::full) return workspace_;
  const std::int64_t x = n * geometry_.in_pixels() * geometry_.in_channels, dy = n * geometry_.out_pixels() * geometry_.out_channels;
  return workspace_ + std::max(x + dy, std::max(x, dy) + geometry_.weights());
}

namespace {

// Behind the scratch of the passes lie copies of their operands where these are rounded.
template <class T>
class RoundedOperands {
 public:
  RoundedOperands(const Execution& exec, ComputeType operands, Span<T> workspace, std::int64_t first)
      : exec_(exec), operands_(operands), free_(workspace.data() + first) {}
  void round(Span<const T>& operand, std::int64_t count) {
    if (operands_ == ComputeType::full) return;
    const Span<T> copy(std::exchange(free_, free_ + count), static_cast<std::size_t>(count));
    round_operands<T>(exec_, operands_, operand, copy);
    operand = copy;
  }

 private:
  const Execution& exec_;
  ComputeType operands_;
  T* free_;
};

// Elements of the gradient that a plan is given.
std::int64_t gradient_elements(const ConvGeometry& g, const Epilogue& tail, std::int64_t n) {
  const auto extent = tail.extent(g);
  return n * extent[0] * extent[1] * extent[2] * g.out_channels;
}

}  // namespace

template <class T>
void ConvPlan<T>::forward(const Execution& exec, std::int64_t n, Span<const T> x, Span<const T> w, Span<const T> bias, Span<T> y, Span<std::uint8_t> index,
                          Span<T> workspace) const {
  const ConvGeometry& g = geometry_;
  RoundedOperands<T> operands(exec, operands_, workspace, workspace_);
  operands.round(x, n * g.in_pixels() * g.in_channels);
  operands.round(w, g.weights());
  if (host_->winograd_forward) return host_->winograd->forward(exec, n, x.data(), w.data(), bias.data(), tail_, y.data(), index.data(), workspace.data());
  const std::int64_t packed = pack_weights<T>(exec, g, host_->forward.phase, false, w.data(), workspace.data());
  run<T>(exec, n,
         {.h = host_->forward,
          .groups = g.groups,
          .source = {.side = {g.in, g.in_channels}, .values = x.data()},
          .destination = {g.out, g.out_channels},
          .tail = tail_,
          .packed = workspace.data(),
          .bias = bias.data(),
          .y = y.data(),
          .index = index.data(),
          .scratch = workspace.data() + padded(packed)});
}

template <class T>
void ConvPlan<T>::backward_data(const Execution& exec, std::int64_t n, const ConvGradient<T>& gradient, Span<const T> w, Span<T> dx, Span<T> workspace) const {
  const ConvGeometry& g = geometry_;
  RoundedOperands<T> operands(exec, operands_, workspace, workspace_);
  ConvGradient<T> taken = gradient;
  operands.round(taken.dy, gradient_elements(g, tail_, n));
  operands.round(w, g.weights());
  if (host_->winograd) return host_->winograd->backward_data(exec, n, gradient_rows(g, tail_, taken), w.data(), dx.data(), workspace.data());
  for (const HostPhase& phase : host_->backward) {
    const std::int64_t packed = pack_weights<T>(exec, g, phase.phase, true, w.data(), workspace.data());
    run<T>(exec, n,
           {.h = phase,
            .groups = g.groups,
            .source = gradient_rows(g, tail_, taken),
            .destination = {g.in, g.in_channels},
            .tail = {},
            .packed = workspace.data(),
            .bias = nullptr,
            .y = dx.data(),
            .index = nullptr,
            .scratch = workspace.data() + padded(packed)});
  }
}

template <class T>
void ConvPlan<T>::backward_weights(const Execution& exec, std::int64_t n, Span<const T> x, const ConvGradient<T>& gradient, Span<T> dw, Span<T> dbias,
                                   Span<T> workspace) const {
  RoundedOperands<T> operands(exec, operands_, workspace, workspace_);
  ConvGradient<T> taken = gradient;
  operands.round(x, n * geometry_.in_pixels() * geometry_.in_channels);
  operands.round(taken.dy, gradient_elements(geometry_, tail_, n));
  if (host_->winograd)
    return host_->winograd->backward_weights(exec, n, x.data(), gradient_rows(geometry_, tail_, taken), dw.data(), dbias.data(), workspace.data());
  host_->weights.run(exec, n, x.data(), gradient_rows(geometry_, tail_, taken), dw.data(), dbias.data(), workspace.data());
}

template class ConvPlan<float>;
template class ConvPlan<double>;

}  // namespace trireme

// The part of each sample that this rank's part of the network uses: its pixels of the input on the first pipeline stage, its pixels of the targets
// on the last stage. Only this part is read from files where possible.
#pragma once

#include "network/network.hpp"
#include "train/batch_stager.hpp"

namespace trireme {

template <class T>
StagedPart staged_part(const Network<T>& network, bool augments) {
  return {network.input_box(), network.output_box(), network.place().first_stage(), network.place().last_stage(), augments};
}

/// Makes a stream read only this part. `augments`: for training, where samples may be flipped and cropped before their part is taken.
template <class T>
void read_part(BatchStream::Options& options, const Deck& deck, const Network<T>& network, const DataSet& data, bool augments);

/// Samples [first, first + count) of a batch.
HostBatch part_of(const HostBatch& batch, std::int64_t first, std::int64_t count);

}  // namespace trireme

// Entries of the table of layer kinds, one function a file of layers. See registry.hpp.
#pragma once

#include "layers/registry.hpp"

namespace trireme {

LayerKind linear_kind();
LayerKind conv_kind();
LayerKind conv_transpose_kind();
LayerKind max_pool_kind();
LayerKind avg_pool_kind();
LayerKind global_avg_pool_kind();
LayerKind batch_norm_kind();
LayerKind group_norm_kind();
LayerKind instance_norm_kind();
LayerKind layer_norm_kind();
LayerKind upsample_kind();
std::vector<LayerKind> activation_kinds();
LayerKind softmax_kind();
LayerKind log_softmax_kind();
LayerKind dropout_kind();
LayerKind flatten_kind();
LayerKind reshape_kind();
LayerKind scale_kind();
LayerKind add_kind();
LayerKind concat_kind();

}  // namespace trireme

/// Eight messages with AVX-512.

#include "kernels.h"

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl"))), apply_to = function)

#define KERNEL repo_blake2b_avx512_8
#include "eight_lanes.h"
#include "lane_kernel.h"

#pragma clang attribute pop

#endif

/// Four messages, and one, with AVX2.

#include "kernels.h"

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)

#define KERNEL repo_blake2b_avx2_1
#include "row_kernel.h"

#define KERNEL repo_blake2b_avx2_4
#include "four_lanes.h"
#include "lane_kernel.h"

#pragma clang attribute pop

#endif

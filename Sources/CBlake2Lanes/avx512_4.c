/// Four messages in the 256-bit registers of AVX-512, which has twice as many as AVX2, and rotations.

#include "kernels.h"

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx512f,avx512vl"))), apply_to = function)

#define KERNEL repo_blake2b_avx512_4
#include "four_lanes.h"
#include "lane_kernel.h"

#pragma clang attribute pop

#endif

/// What the kernels and their scheduler share. Nothing here is public.

#ifndef REPO_BLAKE2_KERNELS_H
#define REPO_BLAKE2_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { BLOCK = 128, DIGEST = 32 };

/// Initialisation vector, RFC 7693 section 2.6 (that of SHA-512).
static const uint64_t blake2b_iv[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/// Message schedule, RFC 7693 section 2.7, as one use of `ROUND` for each of the twelve rounds
/// (the last two repeat the first two): the indices are literals wherever a kernel needs them.
#define BLAKE2B_ROUNDS(ROUND)                                       \
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)     \
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)     \
    ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)     \
    ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)     \
    ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)     \
    ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)     \
    ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)     \
    ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)     \
    ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)     \
    ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)     \
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)     \
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

/// Rotation of 64-bit words, scalar or vector. The compiler turns it into one instruction where there is one.
#define ROTATE_RIGHT(x, n) (((x) >> (n)) | ((x) << (64 - (n))))

/// One message on its way through a kernel.
struct lane {
    uint64_t h[8];        ///< chain value
    uint64_t t;           ///< bytes before `next`, modulo 2^64; a kernel adds `BLOCK` before each block
    uint64_t f;           ///< all ones if the block at `next` is the message's last, else 0
    const uint8_t *next;  ///< the next block
};

/// Compresses `blocks` (at least one) consecutive blocks of each lane into its `h`, and leaves `t` and `next`
/// as they were. The array has as many lanes as the kernel is wide; the same lane may stand in it more than
/// once, to fill it.
typedef void blake2b_kernel(struct lane *const *lanes, size_t blocks);

blake2b_kernel repo_blake2b_portable;
#if defined(__x86_64__)
blake2b_kernel repo_blake2b_avx2_1, repo_blake2b_avx2_4;
blake2b_kernel repo_blake2b_avx512_4, repo_blake2b_avx512_8;
#endif

/// A kernel, and how many lanes it is given.
struct kernel {
    blake2b_kernel *run;
    int width;
};

/// `level`, or the best that this processor has if that is less.
int repo_blake2b_available_level(int level);

/// The fastest kernel for what is left: `messages` (at least one) that are not finished. It may be wider than
/// that, and narrower. The level must be available.
struct kernel repo_blake2b_kernel_for(int level, int messages);

/// The chain value before the first block of a BLAKE2b-256: the vector, with digest length, key length,
/// fan-out 1 and depth 1 mixed in (RFC 7693 section 2.5). Traps if the key is too long.
void repo_blake2b_256_start(uint64_t h[8], size_t key_len);

/// The first 32 bytes of the chain value, in little-endian order.
void repo_blake2b_256_digest(const uint64_t h[8], uint8_t *out);

#endif

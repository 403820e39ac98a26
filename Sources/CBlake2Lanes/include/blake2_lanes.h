/// BLAKE2b-256 (RFC 7693) of many messages at once, one message per SIMD lane, and of one message as a
/// stream.
///
/// The digests are the standard's: the same bytes at every level, on every machine. Sequential mode only: no
/// salt, no personalisation, no tree. Every function is reentrant, allocates nothing and cannot fail.

#ifndef REPO_BLAKE2_LANES_H
#define REPO_BLAKE2_LANES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Sizes in bytes: of a digest, of the longest key (RFC 7693 section 2.1), of a block.
#define REPO_BLAKE2B_256_BYTES 32
#define REPO_BLAKE2B_MAX_KEY_BYTES 64
#define REPO_BLAKE2B_BLOCK_BYTES 128

/// Kernel levels. A level above what the processor has is taken as the best that it has.
#define REPO_BLAKE2B_PORTABLE 0  ///< plain C, one message at a time
#define REPO_BLAKE2B_AVX2 1      ///< four messages at a time
#define REPO_BLAKE2B_AVX512 2    ///< eight messages at a time (AVX-512F and VL)

/// The best level of this processor, as its feature bits and the operating system say at run time.
int repo_blake2b_best_level(void);

/// How many messages the widest kernel of `level` works on side by side: 1, 4 or 8. Batches should be several
/// times larger, so that the lanes stay full.
int repo_blake2b_lanes_width(int level);

/// Hashes `count` messages: message `i` is `lens[i]` bytes at `msgs[i]`, its digest goes to `out + 32 * i`.
///
/// Lengths may differ, and be 0 (then the pointer may be null); pointers need no alignment; messages may
/// overlap each other, but not `out`. A lane whose message ends takes the next one at once, and the longest
/// of the next few dozen starts first, so only the end of a batch leaves lanes idle. `key_len` is 0 (then
/// `key` may be null) to 64; a longer key traps. Uses about 4 KiB of stack and no heap.
void repo_blake2b_256_many(
    int level, const uint8_t *key, size_t key_len, const uint8_t *const *msgs, const size_t *lens,
    size_t count, uint8_t *out);

/// BLAKE2b-256 of one message that arrives in pieces. The fields are private; the struct may be copied, which
/// forks the stream. It holds no pointer and needs no release.
struct repo_blake2b_256 {
    uint64_t h[8];    ///< chain value
    uint64_t t;       ///< bytes compressed
    size_t buffered;  ///< bytes in `buffer`
    int level;        ///< of the kernel, available
    uint8_t buffer[REPO_BLAKE2B_BLOCK_BYTES];  ///< the last bytes, at most a block, not yet compressed
};

/// Starts a stream. `key` and `key_len` as for `repo_blake2b_256_many`.
void repo_blake2b_256_init(struct repo_blake2b_256 *state, int level, const uint8_t *key, size_t key_len);

/// Appends `len` bytes. Whole blocks are hashed where they lie; at most 128 bytes are copied at each end.
void repo_blake2b_256_update(struct repo_blake2b_256 *state, const uint8_t *bytes, size_t len);

/// Writes the digest, 32 bytes. The state is spent: start it again before its next use.
void repo_blake2b_256_final(struct repo_blake2b_256 *state, uint8_t *out);

#ifdef __cplusplus
}
#endif

#endif

/// One message that arrives in pieces.

#include "kernels.h"

#include <string.h>

#include "include/blake2_lanes.h"

_Static_assert(BLOCK == REPO_BLAKE2B_BLOCK_BYTES && DIGEST == REPO_BLAKE2B_256_BYTES, "one set of sizes");

void repo_blake2b_256_start(uint64_t h[8], size_t key_len) {
    if (key_len > REPO_BLAKE2B_MAX_KEY_BYTES) {
        __builtin_trap();
    }
    memcpy(h, blake2b_iv, sizeof blake2b_iv);
    h[0] ^= 0x01010000 ^ (uint64_t)key_len << 8 ^ DIGEST;
}

void repo_blake2b_256_digest(const uint64_t h[8], uint8_t *out) {
    for (int i = 0; i < DIGEST; i++) {
        out[i] = (uint8_t)(h[i / 8] >> (i % 8 * 8));
    }
}

/// Compresses whole blocks, none of which is the last of the message.
static void compress(struct repo_blake2b_256 *state, const uint8_t *bytes, size_t blocks) {
    struct lane lane = {.t = state->t, .next = bytes};
    struct lane *lanes = &lane;
    memcpy(lane.h, state->h, sizeof lane.h);
    repo_blake2b_kernel_for(state->level, 1).run(&lanes, blocks);
    memcpy(state->h, lane.h, sizeof lane.h);
    state->t += blocks * BLOCK;
}

void repo_blake2b_256_init(struct repo_blake2b_256 *state, int level, const uint8_t *key, size_t key_len) {
    *state = (struct repo_blake2b_256){.level = repo_blake2b_available_level(level)};
    repo_blake2b_256_start(state->h, key_len);
    if (key_len > 0) {
        memcpy(state->buffer, key, key_len);
        state->buffered = BLOCK;
    }
}

void repo_blake2b_256_update(struct repo_blake2b_256 *state, const uint8_t *bytes, size_t len) {
    if (len == 0) {
        return;
    }
    // The last block is compressed differently, so a full one waits until it is known not to be the last.
    size_t room = BLOCK - state->buffered;
    if (state->buffered > 0 && len > room) {
        memcpy(state->buffer + state->buffered, bytes, room);
        compress(state, state->buffer, 1);
        state->buffered = 0;
        bytes += room;
        len -= room;
    }
    if (state->buffered == 0 && len > BLOCK) {
        size_t blocks = (len - 1) / BLOCK;
        compress(state, bytes, blocks);
        bytes += blocks * BLOCK;
        len -= blocks * BLOCK;
    }
    memcpy(state->buffer + state->buffered, bytes, len);
    state->buffered += len;
}

void repo_blake2b_256_final(struct repo_blake2b_256 *state, uint8_t *out) {
    memset(state->buffer + state->buffered, 0, BLOCK - state->buffered);
    // The kernel adds a whole block to the counter, modulo 2^64.
    struct lane lane = {.t = state->t + state->buffered - BLOCK, .f = ~(uint64_t)0, .next = state->buffer};
    struct lane *lanes = &lane;
    memcpy(lane.h, state->h, sizeof lane.h);
    repo_blake2b_kernel_for(state->level, 1).run(&lanes, 1);
    repo_blake2b_256_digest(lane.h, out);
}

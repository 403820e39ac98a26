/// Many messages: hands them to lanes, and lanes to kernels.
///
/// A message is at most two runs of blocks: those that can be hashed where they lie, and the last one, which
/// is flagged, and padded in the lane's own buffer. Kernels run until the first lane reaches the end of its
/// run.

#include "kernels.h"

#include <stdbool.h>
#include <string.h>

#include "include/blake2_lanes.h"

enum { MAX_LANES = 8, WINDOW = 64 };

/// A lane, and what is left of its message.
struct slot {
    struct lane lane;
    size_t blocks;        ///< left of this run
    const uint8_t *rest;  ///< the last block's bytes
    size_t rest_len;      ///< 1 to 128, or 0 if the message is empty
    uint8_t *out;         ///< where the digest goes
    uint8_t padded[BLOCK];
};

/// The messages of a call, in the order in which they start: longest first among the next `WINDOW`, so that
/// no long one is left to run alone at the end.
struct queue {
    const size_t *lens;
    size_t count;
    size_t seen;            ///< messages that have been in the window
    size_t window[WINDOW];  ///< indices, shortest first
    int waiting;            ///< how many of them have not started
};

static void refill(struct queue *queue) {
    while (queue->waiting < WINDOW && queue->seen < queue->count) {
        size_t index = queue->seen++;
        int place = queue->waiting++;
        for (; place > 0 && queue->lens[queue->window[place - 1]] > queue->lens[index]; place--) {
            queue->window[place] = queue->window[place - 1];
        }
        queue->window[place] = index;
    }
}

/// The message to start next, or `false` if all have started.
static bool take(struct queue *queue, size_t *index) {
    if (queue->waiting == 0) {
        refill(queue);
    }
    if (queue->waiting == 0) {
        return false;
    }
    *index = queue->window[--queue->waiting];
    return true;
}

/// Sets a slot on the last block of its message: `rest_len` bytes at `rest`.
static void begin_last(struct slot *slot) {
    if (slot->rest_len == BLOCK) {
        slot->lane.next = slot->rest;
    } else {
        memset(slot->padded, 0, BLOCK);
        if (slot->rest_len > 0) {
            memcpy(slot->padded, slot->rest, slot->rest_len);
        }
        slot->lane.next = slot->padded;
    }
    slot->lane.t += slot->rest_len - BLOCK;  // the kernel adds a whole block, modulo 2^64
    slot->lane.f = ~(uint64_t)0;
    slot->blocks = 1;
}

/// A call's arguments and what its messages have in common.
struct batch {
    const uint8_t *const *msgs;
    const size_t *lens;
    uint8_t *out;
    struct queue queue;
    uint64_t initial[8];       ///< chain value before the first block
    uint64_t after_key[8];     ///< chain value after the key's block, if there is one
    uint64_t key_bytes;        ///< bytes counted until then
    uint8_t key_block[BLOCK];  ///< the key, padded
};

/// The key is a block of its own before the message, so all messages go on from one chain value.
static void prepare_key(struct batch *batch, int level, const uint8_t *key, size_t key_len) {
    repo_blake2b_256_start(batch->initial, key_len);
    memcpy(batch->after_key, batch->initial, sizeof batch->after_key);
    if (key_len == 0) {
        return;
    }
    memcpy(batch->key_block, key, key_len);
    struct lane lane = {.next = batch->key_block};
    struct lane *lanes = &lane;
    memcpy(lane.h, batch->initial, sizeof lane.h);
    repo_blake2b_kernel_for(level, 1).run(&lanes, 1);
    memcpy(batch->after_key, lane.h, sizeof lane.h);
    batch->key_bytes = BLOCK;
}

/// Sets a slot on the first block of the next message; `false` if all have started.
static bool start_next(struct batch *batch, struct slot *slot) {
    size_t index;
    if (!take(&batch->queue, &index)) {
        return false;
    }
    const uint8_t *msg = batch->msgs[index];
    size_t len = batch->lens[index];
    slot->out = batch->out + index * DIGEST;
    slot->lane.f = 0;
    slot->lane.next = msg;
    if (len == 0 && batch->key_bytes > 0) {
        // Nothing follows the key's block, so it is the last one, and flagged.
        memcpy(slot->lane.h, batch->initial, sizeof slot->lane.h);
        slot->lane.t = 0;
        slot->blocks = 0;
        slot->rest = batch->key_block;
        slot->rest_len = BLOCK;
    } else {
        memcpy(slot->lane.h, batch->after_key, sizeof slot->lane.h);
        slot->lane.t = batch->key_bytes;
        slot->blocks = len == 0 ? 0 : (len - 1) / BLOCK;
        slot->rest = len == 0 ? NULL : msg + slot->blocks * BLOCK;
        slot->rest_len = len - slot->blocks * BLOCK;
    }
    if (slot->blocks == 0) {
        begin_last(slot);
    }
    return true;
}

/// Moves the first slots, as many as the best kernel takes, to the end of the shortest of their runs, and
/// returns how many they were.
static int advance(int level, struct slot *const *active, int count) {
    struct kernel kernel = repo_blake2b_kernel_for(level, count);
    int moved = count < kernel.width ? count : kernel.width;
    struct lane *lanes[MAX_LANES];
    size_t blocks = active[0]->blocks;
    for (int i = 0; i < kernel.width; i++) {
        struct slot *slot = active[i < moved ? i : 0];
        lanes[i] = &slot->lane;
        blocks = slot->blocks < blocks ? slot->blocks : blocks;
    }
    kernel.run(lanes, blocks);
    for (int i = 0; i < moved; i++) {
        active[i]->lane.next += blocks * BLOCK;
        active[i]->lane.t += blocks * BLOCK;
        active[i]->blocks -= blocks;
    }
    return moved;
}

void repo_blake2b_256_many(
    int level, const uint8_t *key, size_t key_len, const uint8_t *const *msgs, const size_t *lens,
    size_t count, uint8_t *out) {
    level = repo_blake2b_available_level(level);
    struct batch batch = {.msgs = msgs, .lens = lens, .out = out, .queue = {.lens = lens, .count = count}};
    prepare_key(&batch, level, key, key_len);

    struct slot slots[MAX_LANES];
    struct slot *active[MAX_LANES];
    int width = repo_blake2b_lanes_width(level);
    int running = 0;
    while (running < width && start_next(&batch, &slots[running])) {
        active[running] = &slots[running];
        running++;
    }
    while (running > 0) {
        for (int i = advance(level, active, running) - 1; i >= 0; i--) {
            struct slot *slot = active[i];
            if (slot->blocks > 0) {
                continue;
            }
            if (slot->lane.f == 0) {
                begin_last(slot);
                continue;
            }
            repo_blake2b_256_digest(slot->lane.h, slot->out);
            if (!start_next(&batch, slot)) {
                active[i] = active[--running];
            }
        }
    }
}

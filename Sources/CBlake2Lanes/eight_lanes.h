/// Vectors of eight words for `lane_kernel.h`, on AVX-512.

#define LANES 8
typedef uint64_t word __attribute__((vector_size(64)));

/// Transposes eight rows of eight words: pairs of words, then pairs of quarters, then halves.
static inline void transpose(const word in[8], word out[8]) {
    word pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = __builtin_shufflevector(in[i], in[i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        pairs[i + 1] = __builtin_shufflevector(in[i], in[i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int odd = 0; odd < 2; odd++) {
            word x = pairs[i + odd], y = pairs[i + odd + 2];
            quads[i + odd] = __builtin_shufflevector(x, y, 0, 1, 8, 9, 4, 5, 12, 13);
            quads[i + odd + 2] = __builtin_shufflevector(x, y, 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int i = 0; i < 4; i++) {
        out[i] = __builtin_shufflevector(quads[i], quads[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        out[i + 4] = __builtin_shufflevector(quads[i], quads[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

static inline void load_state(struct lane *const *lanes, word h[8]) {
    word rows[8];
    for (int i = 0; i < 8; i++) {
        __builtin_memcpy(&rows[i], lanes[i]->h, sizeof rows[i]);
    }
    transpose(rows, h);
}

static inline void store_state(struct lane *const *lanes, const word h[8]) {
    word rows[8];
    transpose(h, rows);
    for (int i = 0; i < 8; i++) {
        __builtin_memcpy(lanes[i]->h, &rows[i], sizeof rows[i]);
    }
}

static inline void load_block(const uint8_t *const *blocks, word m[16]) {
    for (int part = 0; part < 16; part += 8) {
        word rows[8];
        for (int i = 0; i < 8; i++) {
            __builtin_memcpy(&rows[i], blocks[i] + part * 8, sizeof rows[i]);
        }
        transpose(rows, m + part);
    }
}

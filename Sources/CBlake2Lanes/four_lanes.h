/// Vectors of four words for `lane_kernel.h`, on any instruction set with 256-bit integer vectors.

#define LANES 4
typedef uint64_t word __attribute__((vector_size(32)));

/// Transposes four rows of four words.
static inline void transpose(const word in[4], word out[4]) {
    word a = __builtin_shufflevector(in[0], in[1], 0, 4, 2, 6);
    word b = __builtin_shufflevector(in[0], in[1], 1, 5, 3, 7);
    word c = __builtin_shufflevector(in[2], in[3], 0, 4, 2, 6);
    word d = __builtin_shufflevector(in[2], in[3], 1, 5, 3, 7);
    out[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    out[2] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    out[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

static inline void load_state(struct lane *const *lanes, word h[8]) {
    for (int part = 0; part < 8; part += 4) {
        word rows[4];
        for (int i = 0; i < 4; i++) {
            __builtin_memcpy(&rows[i], lanes[i]->h + part, sizeof rows[i]);
        }
        transpose(rows, h + part);
    }
}

static inline void store_state(struct lane *const *lanes, const word h[8]) {
    for (int part = 0; part < 8; part += 4) {
        word rows[4];
        transpose(h + part, rows);
        for (int i = 0; i < 4; i++) {
            __builtin_memcpy(lanes[i]->h + part, &rows[i], sizeof rows[i]);
        }
    }
}

static inline void load_block(const uint8_t *const *blocks, word m[16]) {
    for (int part = 0; part < 16; part += 4) {
        word rows[4];
        for (int i = 0; i < 4; i++) {
            __builtin_memcpy(&rows[i], blocks[i] + part * 8, sizeof rows[i]);
        }
        transpose(rows, m + part);
    }
}

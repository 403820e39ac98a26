/// The body of every kernel that hashes one message per lane. The file that includes this has defined
/// `LANES`, `KERNEL` (the function's name), `word` (a vector of one 64-bit word per lane), and
///
///     static void load_state(struct lane *const *lanes, word h[8]);
///     static void store_state(struct lane *const *lanes, const word h[8]);
///     static void load_block(const uint8_t *const *blocks, word m[16]);
///
/// which turn lanes of words into words of lanes and back.

/// Four independent G, RFC 7693 section 3.1: of columns (`turn` 0) or diagonals (`turn` 1). All four take
/// each step together: one after the other they wait for their own results, and ran at 3.8 instead of 4.3
/// GB/s.
static inline __attribute__((always_inline)) void mix(
    word v[16], const word m[16], int turn, int x0, int y0, int x1, int y1, int x2, int y2, int x3, int y3) {
    const int x[4] = {x0, x1, x2, x3}, y[4] = {y0, y1, y2, y3};
#define A v[i]
#define B v[4 + (i + turn) % 4]
#define C v[8 + (i + 2 * turn) % 4]
#define D v[12 + (i + 3 * turn) % 4]
#define EACH(step)                \
    _Pragma("unroll")             \
    for (int i = 0; i < 4; i++) { \
        step;                     \
    }
    EACH(A += m[x[i]])
    EACH(A += B)
    EACH(D = ROTATE_RIGHT(D ^ A, 32))
    EACH(C += D)
    EACH(B = ROTATE_RIGHT(B ^ C, 24))
    EACH(A += m[y[i]])
    EACH(A += B)
    EACH(D = ROTATE_RIGHT(D ^ A, 16))
    EACH(C += D)
    EACH(B = ROTATE_RIGHT(B ^ C, 63))
#undef A
#undef B
#undef C
#undef D
#undef EACH
}

#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15) \
    mix(v, m, 0, s0, s1, s2, s3, s4, s5, s6, s7);                                   \
    mix(v, m, 1, s8, s9, s10, s11, s12, s13, s14, s15);

void KERNEL(struct lane *const *lanes, size_t blocks) {
    word h[8], t, f;
    const uint8_t *next[LANES];
    uint64_t counters[LANES], flags[LANES];
    for (int i = 0; i < LANES; i++) {
        next[i] = lanes[i]->next;
        counters[i] = lanes[i]->t;
        flags[i] = lanes[i]->f;
    }
    __builtin_memcpy(&t, counters, sizeof t);
    __builtin_memcpy(&f, flags, sizeof f);
    load_state(lanes, h);

    for (; blocks > 0; blocks--) {
        word m[16];
        load_block(next, m);
        for (int i = 0; i < LANES; i++) {
            next[i] += BLOCK;
        }
        t += BLOCK;

        word v[16];
        for (int i = 0; i < 8; i++) {
            v[i] = h[i];
            v[i + 8] = (t ^ t) + blake2b_iv[i];  // in every lane
        }
        v[12] ^= t;
        v[14] ^= f;
        BLAKE2B_ROUNDS(ROUND)
        for (int i = 0; i < 8; i++) {
            h[i] ^= v[i] ^ v[i + 8];
        }
    }
    store_state(lanes, h);
}

#undef ROUND

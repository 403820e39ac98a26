/// The body of every kernel that hashes one message with its 16 working words as four rows of four. The file
/// that includes this has defined `KERNEL` (the function's name).

typedef uint64_t row __attribute__((vector_size(32)));
typedef uint64_t half __attribute__((vector_size(64)));  // half a block

#define PICK(a, b, c, d) __builtin_shufflevector(low, high, a, b, c, d)

/// The mixing function G, RFC 7693 section 3.1, four at a time. Each message word is added before the value
/// that arrives last, to keep it off the critical path.
#define MIX(a, b, c, d, x, y)        \
    do {                             \
        a += x;                      \
        a += b;                      \
        d = ROTATE_RIGHT(d ^ a, 32); \
        c += d;                      \
        b = ROTATE_RIGHT(b ^ c, 24); \
        a += y;                      \
        a += b;                      \
        d = ROTATE_RIGHT(d ^ a, 16); \
        c += d;                      \
        b = ROTATE_RIGHT(b ^ c, 63); \
    } while (0)

// Between columns and diagonals row b stays where it is, because it is the last to be ready: moving the
// others costs no time. So the diagonals are taken in the order 3, 0, 1, 2.
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15) \
    MIX(a, b, c, d, PICK(s0, s2, s4, s6), PICK(s1, s3, s5, s7));                    \
    a = __builtin_shufflevector(a, a, 3, 0, 1, 2);                                  \
    c = __builtin_shufflevector(c, c, 1, 2, 3, 0);                                  \
    d = __builtin_shufflevector(d, d, 2, 3, 0, 1);                                  \
    MIX(a, b, c, d, PICK(s14, s8, s10, s12), PICK(s15, s9, s11, s13));              \
    a = __builtin_shufflevector(a, a, 1, 2, 3, 0);                                  \
    c = __builtin_shufflevector(c, c, 3, 0, 1, 2);                                  \
    d = __builtin_shufflevector(d, d, 2, 3, 0, 1);

void KERNEL(struct lane *const *lanes, size_t blocks) {
    struct lane *lane = *lanes;
    const uint8_t *next = lane->next;
    row h0, h1, iv0, iv1;
    __builtin_memcpy(&h0, lane->h, sizeof h0);
    __builtin_memcpy(&h1, lane->h + 4, sizeof h1);
    __builtin_memcpy(&iv0, blake2b_iv, sizeof iv0);
    __builtin_memcpy(&iv1, blake2b_iv + 4, sizeof iv1);
    row counter = {lane->t, 0, lane->f, 0};
    const row step = {BLOCK, 0, 0, 0};

    for (; blocks > 0; blocks--, next += BLOCK) {
        half low, high;
        __builtin_memcpy(&low, next, sizeof low);
        __builtin_memcpy(&high, next + 64, sizeof high);
        counter += step;
        row a = h0, b = h1, c = iv0, d = iv1 ^ counter;
        BLAKE2B_ROUNDS(ROUND)
        h0 ^= a ^ c;
        h1 ^= b ^ d;
    }
    __builtin_memcpy(lane->h, &h0, sizeof h0);
    __builtin_memcpy(lane->h + 4, &h1, sizeof h1);
}

#undef ROUND
#undef MIX
#undef PICK
#undef KERNEL

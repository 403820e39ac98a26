/// One message, in plain C.

#include "kernels.h"

#define KERNEL repo_blake2b_portable
#define LANES 1
typedef uint64_t word;

static inline void load_state(struct lane *const *lanes, word h[8]) {
    __builtin_memcpy(h, lanes[0]->h, sizeof lanes[0]->h);
}

static inline void store_state(struct lane *const *lanes, const word h[8]) {
    __builtin_memcpy(lanes[0]->h, h, sizeof lanes[0]->h);
}

static inline void load_block(const uint8_t *const *blocks, word m[16]) {
    __builtin_memcpy(m, blocks[0], BLOCK);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    for (int i = 0; i < 16; i++) {
        m[i] = __builtin_bswap64(m[i]);
    }
#endif
}

#include "lane_kernel.h"

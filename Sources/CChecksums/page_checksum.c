#include "include/checksums.h"

#include <string.h>

#define LANES 32
#define PRIME 16777619u

/// `checksumBaseOffsets`, storage/checksum_impl.h.
static const uint32_t bases[LANES] = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756};

/// The loops over lanes have no dependency between lanes, so the compiler turns each into a few vector instructions.
__attribute__((always_inline)) static inline uint32_t hash(const uint8_t *page, size_t len) {
    uint32_t sums[LANES];
    uint32_t row[LANES];
    memcpy(sums, bases, sizeof sums);
    for (size_t offset = 0; offset < len; offset += sizeof row) {
        memcpy(row, page + offset, sizeof row);
        if (offset == 0) {
            row[2] &= 0xFFFF0000u;  // pd_checksum counts as 0
        }
        for (int lane = 0; lane < LANES; lane++) {
            uint32_t mixed = sums[lane] ^ row[lane];
            sums[lane] = mixed * PRIME ^ mixed >> 17;
        }
    }
    uint32_t result = 0;
    for (int lane = 0; lane < LANES; lane++) {
        uint32_t sum = sums[lane];
        sum = sum * PRIME ^ sum >> 17;
        sum = sum * PRIME ^ sum >> 17;
        result ^= sum;
    }
    return result;
}

static uint32_t hash_portable(const uint8_t *page, size_t len) { return hash(page, len); }

static uint16_t fold(uint32_t hash, uint32_t block) { return (uint16_t)((hash ^ block) % 65535 + 1); }

uint16_t repo_page_checksum_portable(const void *page, size_t len, uint32_t block) { return fold(hash_portable(page, len), block); }

#if defined(__x86_64__)

__attribute__((target("avx2"))) static uint32_t hash_avx2(const uint8_t *page, size_t len) { return hash(page, len); }

static int has_avx2;

__attribute__((constructor)) static void look_at_processor(void) {
    __builtin_cpu_init();
    has_avx2 = __builtin_cpu_supports("avx2");
}

uint16_t repo_page_checksum(const void *page, size_t len, uint32_t block) {
    return fold(has_avx2 ? hash_avx2(page, len) : hash_portable(page, len), block);
}

#else

uint16_t repo_page_checksum(const void *page, size_t len, uint32_t block) { return repo_page_checksum_portable(page, len, block); }

#endif

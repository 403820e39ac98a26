#include "include/checksums.h"

#include <string.h>

/// The polynomial 0x1EDC6F41, bits reversed.
#define POLYNOMIAL 0x82F63B78u

/// `table[k][b]`: what byte `b` does to the checksum `k` bytes later (M. Kounavis, F. Berry, "Novel Table Lookup-Based Algorithms for
/// High-Performance CRC Generation", 2008).
static uint32_t table[8][256];

/// Before main, so that no call has to ask whether it was done.
__attribute__((constructor)) static void fill_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        }
        table[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++) {
        for (int byte = 0; byte < 256; byte++) {
            table[k][byte] = table[k - 1][byte] >> 8 ^ table[0][table[k - 1][byte] & 0xFF];
        }
    }
}

static uint64_t load64(const uint8_t *bytes) {
    uint64_t value;
    memcpy(&value, bytes, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    value = __builtin_bswap64(value);
#endif
    return value;
}

uint32_t repo_crc32c_portable(uint32_t crc, const void *start, size_t len) {
    const uint8_t *bytes = start;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word = load64(bytes) ^ crc;
        crc = table[7][word & 0xFF] ^ table[6][word >> 8 & 0xFF] ^ table[5][word >> 16 & 0xFF] ^ table[4][word >> 24 & 0xFF]
            ^ table[3][word >> 32 & 0xFF] ^ table[2][word >> 40 & 0xFF] ^ table[1][word >> 48 & 0xFF] ^ table[0][word >> 56];
    }
    for (; len > 0; bytes++, len--) {
        crc = crc >> 8 ^ table[0][(crc ^ *bytes) & 0xFF];
    }
    return crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t start, const uint8_t *bytes, size_t len) {
    uint64_t crc = start;
    for (; len >= 32; bytes += 32, len -= 32) {
        crc = __builtin_ia32_crc32di(crc, load64(bytes));
        crc = __builtin_ia32_crc32di(crc, load64(bytes + 8));
        crc = __builtin_ia32_crc32di(crc, load64(bytes + 16));
        crc = __builtin_ia32_crc32di(crc, load64(bytes + 24));
    }
    for (; len >= 8; bytes += 8, len -= 8) {
        crc = __builtin_ia32_crc32di(crc, load64(bytes));
    }
    uint32_t last = (uint32_t)crc;
    for (; len > 0; bytes++, len--) {
        last = __builtin_ia32_crc32qi(last, *bytes);
    }
    return last;
}

static int has_sse42;

__attribute__((constructor)) static void look_at_processor(void) {
    __builtin_cpu_init();
    has_sse42 = __builtin_cpu_supports("sse4.2");
}

uint32_t repo_crc32c(uint32_t crc, const void *bytes, size_t len) {
    return has_sse42 ? crc32c_sse42(crc, bytes, len) : repo_crc32c_portable(crc, bytes, len);
}

#else

uint32_t repo_crc32c(uint32_t crc, const void *bytes, size_t len) { return repo_crc32c_portable(crc, bytes, len); }

#endif

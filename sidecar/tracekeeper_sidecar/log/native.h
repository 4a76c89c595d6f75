/* CRC32C (Castagnoli, reflected polynomial 0x82F63B78), alone or while copying.
 *
 * Where the processor has an instruction for it (SSE 4.2, found out at run time; ARMv8 when compiled for it) three
 * stretches are summed at once, because one instruction has to wait for the one before it, and are then put together:
 * a sum moves past n zero bytes by a linear map, kept as tables for two values of n. Elsewhere one table step per byte.
 * `tk_prepare` fills the tables and must be called first. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TK_LONG 4096
#define TK_SHORT 256

static uint32_t tk_table[256], tk_long[4][256], tk_short[4][256];
static int tk_fast;

#if defined(__x86_64__) && defined(__GNUC__)
#include <nmmintrin.h>
#define TK_HARDWARE __attribute__((target("sse4.2")))
#define TK_WORD(crc, word) ((uint64_t)_mm_crc32_u64((crc), (word)))
#define TK_BYTE(crc, byte) ((uint64_t)_mm_crc32_u8((uint32_t)(crc), (byte)))
#define TK_HAS_HARDWARE() __builtin_cpu_supports("sse4.2")
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
#define TK_HARDWARE
#define TK_WORD(crc, word) ((uint64_t)__crc32cd((uint32_t)(crc), (word)))
#define TK_BYTE(crc, byte) ((uint64_t)__crc32cb((uint32_t)(crc), (byte)))
#define TK_HAS_HARDWARE() 1
#endif

static uint32_t tk_past_zeros(uint32_t crc, size_t zeros) {
    while (zeros-- > 0) crc = tk_table[crc & 255] ^ (crc >> 8);
    return crc;
}

static void tk_tables_for(uint32_t tables[4][256], size_t zeros) {
    uint32_t bits[32];
    for (int bit = 0; bit < 32; bit++) bits[bit] = tk_past_zeros((uint32_t)1 << bit, zeros);
    for (int place = 0; place < 4; place++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t sum = 0;
            for (int bit = 0; bit < 8; bit++)
                if (byte >> bit & 1) sum ^= bits[8 * place + bit];
            tables[place][byte] = sum;
        }
}

/* Fill the tables. Returns 1 where the processor's instruction is used, 0 where it is not. */
static int tk_prepare(int hardware) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc & 1) ? (crc >> 1) ^ 0x82F63B78u : crc >> 1;
        tk_table[byte] = crc;
    }
    tk_tables_for(tk_long, TK_LONG);
    tk_tables_for(tk_short, TK_SHORT);
#ifdef TK_HAS_HARDWARE
    tk_fast = hardware && TK_HAS_HARDWARE();
#endif
    return tk_fast;
}

static uint32_t tk_slow(uint32_t crc, unsigned char *to, const unsigned char *from, size_t size) {
    if (to) memcpy(to, from, size);
    for (; size > 0; size--) crc = tk_table[(crc ^ *from++) & 255] ^ (crc >> 8);
    return crc;
}

#ifdef TK_HARDWARE
static inline uint64_t tk_shift(const uint32_t tables[4][256], uint64_t crc) {
    return tables[0][crc & 255] ^ tables[1][crc >> 8 & 255] ^ tables[2][crc >> 16 & 255] ^ tables[3][crc >> 24 & 255];
}

static inline uint64_t tk_load(const unsigned char *from, unsigned char *to) {
    uint64_t word;
    memcpy(&word, from, 8);
    if (to) memcpy(to, &word, 8);
    return word;
}

#define TK_TO(offset) (to ? to + (offset) : NULL)

TK_HARDWARE static inline uint32_t tk_quick(uint32_t crc, unsigned char *to, const unsigned char *from, size_t size) {
    uint64_t one = crc, two, three;
    size_t at = 0;
    for (int turn = 0; turn < 2; turn++) {
        const size_t step = turn == 0 ? TK_LONG : TK_SHORT;
        while (size - at >= 3 * step) {
            two = three = 0;
            for (size_t end = at + step; at < end; at += 8) {
                one = TK_WORD(one, tk_load(from + at, TK_TO(at)));
                two = TK_WORD(two, tk_load(from + at + step, TK_TO(at + step)));
                three = TK_WORD(three, tk_load(from + at + 2 * step, TK_TO(at + 2 * step)));
            }
            one = tk_shift(turn == 0 ? tk_long : tk_short, one) ^ two;
            one = tk_shift(turn == 0 ? tk_long : tk_short, one) ^ three;
            at += 2 * step;
        }
    }
    for (; size - at >= 8; at += 8) one = TK_WORD(one, tk_load(from + at, TK_TO(at)));
    for (; at < size; at++) {
        one = TK_BYTE(one, from[at]);
        if (to) to[at] = from[at];
    }
    return (uint32_t)one;
}

TK_HARDWARE static uint32_t tk_quick_sum(uint32_t crc, const unsigned char *from, size_t size) {
    return tk_quick(crc, NULL, from, size);
}

TK_HARDWARE static uint32_t tk_quick_copy(uint32_t crc, unsigned char *to, const unsigned char *from, size_t size) {
    return tk_quick(crc, to, from, size);
}
#endif

/* CRC32C of `size` bytes at from[start], going on from `seed`, the CRC32C of what came before. */
static uint32_t tk_crc(const unsigned char *from, Py_ssize_t start, Py_ssize_t size, uint32_t seed) {
#ifdef TK_HARDWARE
    if (tk_fast) return ~tk_quick_sum(~seed, from + start, (size_t)size);
#endif
    return ~tk_slow(~seed, NULL, from + start, (size_t)size);
}

/* The same, while copying those bytes to to[at]. */
static uint32_t tk_crc_copy(unsigned char *to, Py_ssize_t at, const unsigned char *from, Py_ssize_t start,
                            Py_ssize_t size, uint32_t seed) {
#ifdef TK_HARDWARE
    if (tk_fast) return ~tk_quick_copy(~seed, to + at, from + start, (size_t)size);
#endif
    return ~tk_slow(~seed, to + at, from + start, (size_t)size);
}

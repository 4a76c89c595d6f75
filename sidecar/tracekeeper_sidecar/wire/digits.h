/* Counts digits and colons, sixteen bytes at a time, in the vectors that GCC and Clang have for every processor. */
#include <stdint.h>
#include <string.h>

typedef unsigned char tk_sixteen __attribute__((vector_size(16)));

/* How many bytes are all ones, at most twice sixteen. */
static inline int tk_count(tk_sixteen first, tk_sixteen second) {
    tk_sixteen sums = -(first + second);
    uint64_t halves[2];
    memcpy(halves, &sums, 16);
    return (int)(((halves[0] + halves[1]) * 0x0101010101010101u) >> 56);
}

/* How many of the 32 bytes at `data` are digits, and 256 times how many are colons. */
static inline int tk_digits(const unsigned char *data) {
    tk_sixteen first, second, any;
    uint64_t halves[2];
    memcpy(&first, data, 16);
    memcpy(&second, data + 16, 16);
    /* What is compared is all ones where it holds. The colon comes behind the nine. */
    any = (tk_sixteen)((first - 48) < 11) | (tk_sixteen)((second - 48) < 11);
    memcpy(halves, &any, 16);
    if ((halves[0] | halves[1]) == 0)
        return 0;
    return tk_count((tk_sixteen)((first - 48) < 10), (tk_sixteen)((second - 48) < 10)) |
           tk_count((tk_sixteen)(first == 58), (tk_sixteen)(second == 58)) << 8;
}

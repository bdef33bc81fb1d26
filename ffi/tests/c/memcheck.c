/*
 * Tells Memcheck about one function of crate `ring`, in place of suppressions, which would have to stand wherever its
 * results go.
 *
 * `gcm_ghash_avx`, in assembly, zeroes registers by `vmovdqa %xmm0,%xmm3` and `vpxor %xmm0,%xmm3,%xmm3` when it is
 * given less than 128 bytes ("subtle way to zero", .Lshort_avx of ghash-x86_64.pl). What was in %xmm0 does not matter
 * to the result, but Memcheck cannot know, and calls the result undefined if %xmm0 was. Here it is called defined, if
 * and only if all that went in is. The linker puts this between (--wrap); GHASH is the function's name, which has the
 * version of ring in it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <valgrind/memcheck.h>

#define PASTE(a, b) a##b
#define JOIN(a, b) PASTE(a, b)
#define REAL JOIN(__real_, GHASH)
#define WRAP JOIN(__wrap_, GHASH)

enum { BLOCK = 16, TABLE = 16 * BLOCK };

void REAL(void *hash, const void *table, const uint8_t *input, size_t len);
void WRAP(void *hash, const void *table, const uint8_t *input, size_t len);

static int calls;

static void report(void) {
    fprintf(stderr, "ghash was called undefined without reason %d times\n", calls);
}

/* Every bit, and asked in pieces. */
static int is_defined(const void *memory, size_t len) {
    const unsigned char *bytes = memory;
    unsigned char bits[BLOCK];
    size_t at, i;
    for (at = 0; at < len; at += BLOCK) {
        size_t piece = len - at < BLOCK ? len - at : BLOCK;
        if (VALGRIND_GET_VBITS(bytes + at, bits, piece) != 1) return 0;
        for (i = 0; i < piece; i++) {
            if (bits[i] != 0) return 0;
        }
    }
    return 1;
}

void WRAP(void *hash, const void *table, const uint8_t *input, size_t len) {
    int defined = is_defined(hash, BLOCK) && is_defined(table, TABLE) && is_defined(input, len);
    REAL(hash, table, input, len);
    if (defined && !is_defined(hash, BLOCK)) {
        if (__sync_fetch_and_add(&calls, 1) == 0) atexit(report);
        (void)VALGRIND_MAKE_MEM_DEFINED(hash, BLOCK);
    }
}

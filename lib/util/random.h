/* SPDX-License-Identifier: ISC */
/* random - from the kernel, buffered; ends the process rather than be weak. */
#ifndef LIB_UTIL_RANDOM_H
#define LIB_UTIL_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void     random_bytes(void *to, size_t n);
uint64_t random_u64(void);
uint32_t random_below(uint32_t limit); /* 0 .. limit-1, unbiased; limit > 0 */

/* Tests: answers become a fixed sequence from this seed; 0 gives real randomness back. */
void random_hook(uint64_t seed);

#endif

/* SPDX-License-Identifier: ISC */
#include "lib/util/random.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/util/mem.h"

/* One system call serves some dozens of ids. Octets are wiped as they are handed out. */
static struct {
	unsigned char octets[512];
	size_t        left;
} pool;

static uint64_t hooked_state;

static void
from_kernel(unsigned char *to, size_t n)
{
	while (n > 0) {
		ssize_t got = getrandom(to, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			_exit(EX_OSERR);
		to += got;
		n -= (size_t)got;
	}
}

/* splitmix64: equal seeds give equal tests. */
static uint64_t
next_hooked(void)
{
	uint64_t z = hooked_state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static void
from_hook(unsigned char *to, size_t n)
{
	while (n > 0) {
		uint64_t x = next_hooked();
		size_t   part = n < sizeof x ? n : sizeof x;

		memcpy(to, &x, part);
		to += part;
		n -= part;
	}
}

void
random_bytes(void *to, size_t n)
{
	unsigned char *at = to;

	if (hooked_state != 0) {
		from_hook(at, n);
		return;
	}
	if (n > sizeof pool.octets / 4) {
		from_kernel(at, n);
		return;
	}
	if (pool.left < n) {
		from_kernel(pool.octets, sizeof pool.octets);
		pool.left = sizeof pool.octets;
	}
	if (n == 0)
		return;
	pool.left -= n;
	memcpy(at, pool.octets + pool.left, n);
	mem_wipe(pool.octets + pool.left, n);
}

uint64_t
random_u64(void)
{
	uint64_t x;

	random_bytes(&x, sizeof x);
	return x;
}

/* Lemire's method: the high half of a product, and again in the few cases that would bias it. */
uint32_t
random_below(uint32_t limit)
{
	uint32_t unfair;
	uint64_t product;

	assert(limit > 0);
	unfair = -limit % limit;
	do {
		uint32_t x;

		random_bytes(&x, sizeof x);
		product = (uint64_t)x * limit;
	} while ((uint32_t)product < unfair);
	return (uint32_t)(product >> 32);
}

void
random_hook(uint64_t seed)
{
	hooked_state = seed;
}

/* SPDX-License-Identifier: ISC */
#include "lib/proc/vault.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "lib/proc/traced.h"
#include "lib/util/mem.h"
#include "lib/util/str.h"

enum {
	SIZE_MOST = 4 * 1024 * 1024, /* some hundred keys */
	SIZE_LEAST = 256 * 1024,     /* OpenSSL itself takes less than this */
	STEP = 16,                   /* sizes up to 512 octets are multiples of this ... */
	STEPS = 32,
	QUARTERS = 48, /* ... and above a quarter of a power of two apart, up to 2 MiB */
};

/* In front of each piece. What is free has the next one of its size behind it. */
struct piece {
	uint32_t      kind;
	uint32_t      unused;
	struct piece *next; /* of a piece in use: only keeps what follows aligned */
};

/* OpenSSL's allocator has no argument to hang it on, and a process has one OpenSSL. */
static struct {
	char         *base;
	size_t        size, used;
	struct piece *free[STEPS + 1 + QUARTERS];
	bool          opened, locked, spilled;
	int           error;
} vault;

/* Which size a request gets, and what that is. False: none of ours. */
static bool
choose(size_t want, uint32_t *kind, size_t *size)
{
	unsigned log, shift;
	size_t   quarters;

	if (want > SIZE_MOST / 2)
		return false;
	if (want <= STEP * STEPS) {
		*kind = (uint32_t)((want + STEP - 1) / STEP);
		*size = *kind * (size_t)STEP;
		return true;
	}
	log = 63 - (unsigned)__builtin_clzll(want - 1);
	shift = log - 2;
	quarters = ((want - 1) >> shift) + 1; /* 5 to 8 */
	*kind = STEPS + (log - 9) * 4 + (uint32_t)(quarters - 4);
	*size = quarters << shift;
	return true;
}

static size_t
size_of(uint32_t kind)
{
	uint32_t above = kind - STEPS - 1;

	return kind <= STEPS ? kind * (size_t)STEP : (size_t)(above % 4 + 5) << (above / 4 + 7);
}

static bool
is_inside(const void *p)
{
	return vault.base != NULL && (uintptr_t)p - (uintptr_t)vault.base < vault.size;
}

static struct piece *
piece_of(void *p)
{
	return (struct piece *)p - 1;
}

static size_t
room(void *p)
{
	return is_inside(p) ? size_of(piece_of(p)->kind) - sizeof(struct piece)
	                    : malloc_usable_size(p);
}

static void *
outside(size_t n)
{
	vault.spilled = true;
	return malloc(n);
}

static void *
get(size_t n, const char *file UNUSED, int line UNUSED)
{
	struct piece *p;
	uint32_t      kind;
	size_t        size;

	if (n == 0)
		return NULL;
	if (vault.base == NULL || n > SIZE_MOST || !choose(n + sizeof *p, &kind, &size))
		return outside(n);
	p = vault.free[kind];
	if (p != NULL) {
		vault.free[kind] = p->next;
		return p + 1;
	}
	if (size > vault.size - vault.used)
		return outside(n);
	p = (struct piece *)(void *)(vault.base + vault.used);
	vault.used += size;
	p->kind = kind;
	return p + 1;
}

static void
drop(void *p, const char *file UNUSED, int line UNUSED)
{
	struct piece *of;

	if (p == NULL)
		return;
	mem_wipe(p, room(p));
	if (!is_inside(p)) {
		free(p);
		return;
	}
	of = piece_of(p);
	of->next = vault.free[of->kind];
	vault.free[of->kind] = of;
}

static void *
move(void *p, size_t n, const char *file, int line)
{
	size_t had = p == NULL ? 0 : room(p);
	void  *q;

	if (n > 0 && n <= had && is_inside(p))
		return p;
	q = get(n, file, line);
	if (n > 0 && q == NULL)
		return NULL;
	if (had > 0 && q != NULL)
		memcpy(q, p, had < n ? had : n);
	drop(p, file, line);
	return q;
}

static size_t
lockable(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	(void)setrlimit(RLIMIT_MEMLOCK, &limit);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
		return 0;
	/* Under a limit what is asked for later would be refused, and with it the keys. */
	if (limit.rlim_cur == RLIM_INFINITY)
		(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	return limit.rlim_cur < SIZE_MOST ? (size_t)limit.rlim_cur : SIZE_MOST;
}

static void
take_memory(void)
{
	size_t size = lockable() / SIZE_LEAST * SIZE_LEAST;
	char  *base;

	if (size == 0)
		vault.error = EPERM;
	size = size == 0 ? SIZE_MOST : size;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	            -1, 0);
	if (base == MAP_FAILED) {
		vault.error = errno;
		return;
	}
	(void)madvise(base, size, MADV_DONTDUMP);
	(void)madvise(base, size, MADV_WIPEONFORK);
	/* Page by page, when one is touched: the rest costs nothing. */
	vault.locked = vault.error == 0 && mlock2(base, size, MLOCK_ONFAULT) == 0;
	if (!vault.locked && vault.error == 0)
		vault.error = errno;
	vault.base = base;
	vault.size = size;
}

void
vault_open(void)
{
	/* Sanitizers have an allocator of their own, which sees more. */
	if (vault.opened || TRACED)
		return;
	vault.opened = true;
	if (CRYPTO_set_mem_functions(get, move, drop) == 1)
		take_memory();
	else
		vault.error = EBUSY;
}

bool
vault_is_locked(const char **why)
{
	*why = vault.locked ? "more keys than locked memory has room for" : strerror(vault.error);
	return TRACED || (vault.locked && !vault.spilled);
}

size_t
vault_place(const void **base)
{
	*base = vault.base;
	return vault.size;
}

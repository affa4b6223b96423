/* SPDX-License-Identifier: ISC */
#include "lib/proc/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/util/mem.h"
#include "lib/util/str.h"

int
memory_open(void)
{
	return open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
}

bool
memory_pss_kib(int fd, uint64_t *kib)
{
	char       text[2048];
	ssize_t    n = fd >= 0 ? pread(fd, text, sizeof text, 0) : -1;
	struct str rest = {text, n > 0 ? (size_t)n : 0}, line;

	while (str_cut(&rest, '\n', &line)) {
		if (!str_starts(line, STR("Pss:")))
			continue;
		line = str_skip(line, 4);
		line = str_trim(line);
		return str_number(str_word(&line), UINT32_MAX, kib);
	}
	return false;
}

static void
wipe_and_free(void *p, const char *file UNUSED, int line UNUSED)
{
	if (p != NULL)
		mem_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *
wipe_and_move(void *p, size_t size, const char *file, int line)
{
	size_t had = p == NULL ? 0 : malloc_usable_size(p);
	void  *q = size == 0 ? NULL : malloc(size);

	if (size != 0 && q == NULL)
		return NULL;
	if (had > 0 && q != NULL)
		memcpy(q, p, had < size ? had : size);
	wipe_and_free(p, file, line);
	return q;
}

static void *
get(size_t size, const char *file UNUSED, int line UNUSED)
{
	return size == 0 ? NULL : malloc(size);
}

void
memory_openssl_wipes(void)
{
	(void)CRYPTO_set_mem_functions(get, wipe_and_move, wipe_and_free);
}

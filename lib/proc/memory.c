/* SPDX-License-Identifier: ISC */
#include "lib/proc/memory.h"

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* Code that is relocated in place, which no linker makes unasked: its pages are no longer those of the file. */
static bool
has_text_relocations(const struct dl_phdr_info *o)
{
	for (int i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];

		if (p->p_type != PT_DYNAMIC)
			continue;
		for (const ElfW(Dyn) *d = (const void *)(o->dlpi_addr + p->p_vaddr);
		     d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL ||
			    (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0))
				return true;
	}
	return false;
}

/* keyd's pages are locked in memory: there the kernel wants to be asked in another way. */
static void
drop(uintptr_t from, uintptr_t to)
{
	if (madvise((void *)from, to - from, MADV_DONTNEED) == 0)
		return;
#ifdef MADV_DONTNEED_LOCKED
	(void)madvise((void *)from, to - from, MADV_DONTNEED_LOCKED);
#endif
}

/* Segments that were never writable. What is only now read-only (PT_GNU_RELRO) lies in one that was. */
static int
drop_clean(struct dl_phdr_info *o, size_t size UNUSED, void *page)
{
	uintptr_t mask = *(const uintptr_t *)page - 1;

	if (has_text_relocations(o))
		return 0;
	for (int i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];
		uintptr_t from = (o->dlpi_addr + p->p_vaddr) & ~mask;

		if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0)
			drop(from, (o->dlpi_addr + p->p_vaddr + p->p_memsz + mask) & ~mask);
	}
	return 0;
}

void
memory_settle(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)malloc_trim(0);
	(void)dl_iterate_phdr(drop_clean, &page);
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

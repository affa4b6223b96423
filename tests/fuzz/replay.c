/* SPDX-License-Identifier: ISC */
/*
 * replay - a fuzz target as a unit test: its corpus, and COPIES changed copies in all.
 *
 * The changes to a file are the same in each run. libFuzzer looks further; this guards what
 * has been found, under any compiler.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "lib/util/mem.h"
#include "lib/util/random.h"
#include "tests/fuzz/fuzz.h"

enum { FILE_MAX = 64 * 1024 };

/* In memory of exactly its size, so that ASan sees each octet read beyond. */
static void
play(struct str text)
{
	uint8_t *copy = malloc(text.n > 0 ? text.n : 1);

	if (copy == NULL)
		abort();
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	LLVMFuzzerTestOneInput(copy, text.n);
	free(copy);
}

/* Set an octet, flip a bit, cut the end off, drop some octets, or repeat some. */
static void
change(struct buf *b)
{
	size_t at = random_below((uint32_t)b->n + 1);
	size_t n = random_below(8);

	if (at >= b->n || at + n > b->n) {
		buf_addc(b, (char)random_below(256));
		return;
	}
	switch (random_below(5)) {
	case 0:
		b->p[at] = (char)random_below(256);
		break;
	case 1:
		b->p[at] = (char)(b->p[at] ^ (1 << random_below(8)));
		break;
	case 2:
		buf_truncate(b, at);
		break;
	case 3:
		memmove(b->p + at, b->p + at + n, b->n - at - n);
		buf_truncate(b, b->n - n);
		break;
	default:
		if (buf_room(b, n) != NULL) {
			memmove(b->p + at + n, b->p + at, b->n - at);
			buf_commit(b, n);
		}
	}
}

static void
play_changed(struct str seed, uint64_t copies)
{
	struct buf b = BUF(FILE_MAX);

	random_hook(1); /* for each alike, in whatever order the folder has them */
	for (; copies > 0; copies--) {
		buf_clear(&b);
		buf_add(&b, seed);
		for (uint32_t times = 1 + random_below(6); times > 0; times--)
			change(&b);
		play(buf_str(&b));
	}
	buf_free(&b);
}

static bool
read_file(struct buf *b, const char *folder, const char *name)
{
	struct buf path = BUF(4096);
	FILE      *f;
	char      *room;

	buf_addf(&path, "%s/%s", folder, name);
	f = fopen(buf_z(&path), "rb");
	buf_free(&path);
	buf_clear(b);
	if (f == NULL)
		return false;
	room = buf_room(b, FILE_MAX);
	buf_commit(b, fread(room, 1, FILE_MAX, f));
	fclose(f);
	return true;
}

static int
is_seed(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Which file it was must be known when the program has ended in it. */
static void
play_file(struct buf *seed, const char *folder, const char *name, uint64_t copies)
{
	if (!read_file(seed, folder, name))
		return;
	printf("# %s\n", name);
	fflush(stdout);
	play(buf_str(seed));
	play_changed(buf_str(seed), copies);
}

int
main(int argc, char **argv)
{
	struct dirent **files;
	struct buf      seed = BUF(FILE_MAX);
	uint64_t        copies;
	int             n = argc == 3 ? scandir(argv[1], &files, is_seed, alphasort) : -1;

	if (n <= 0 || !str_number(str_of(argv[2]), 1000000, &copies)) {
		fprintf(stderr, "usage: %s CORPUS COPIES\n", argv[0]);
		return 2;
	}
	play(STR(""));
	for (int i = 0; i < n; i++) {
		play_file(&seed, argv[1], files[i]->d_name, copies / (unsigned)n + 1);
		free(files[i]);
	}
	printf("ok 1 - %d files and what is like them\n1..1\n", n);
	free(files);
	buf_free(&seed);
	return 0;
}

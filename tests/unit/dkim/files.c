/* SPDX-License-Identifier: ISC */
#include "tests/unit/dkim/files.h"

#include <stdio.h>
#include <stdlib.h>

void
files_read(struct buf *out, const char *path)
{
	FILE  *f = fopen(path, "rb");
	char   text[4096];
	size_t n;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while ((n = fread(text, 1, sizeof text, f)) > 0)
		buf_add(out, (struct str){text, n});
	fclose(f);
}

void
files_corpus(struct buf *out, const char *folder, const char *name)
{
	struct buf path = BUF(4096);

	buf_addf(&path, "%s/%s/%s", CORPUS, folder, name);
	files_read(out, buf_z(&path));
	buf_free(&path);
}

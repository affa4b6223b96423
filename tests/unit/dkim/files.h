/* SPDX-License-Identifier: ISC */
/* files - reading the corpus, whose folder is CORPUS. */
#ifndef TESTS_DKIM_FILES_H
#define TESTS_DKIM_FILES_H

#include "lib/util/buf.h"

/* Append the file; ends the test program if it cannot be read. */
void files_read(struct buf *out, const char *path);
void files_corpus(struct buf *out, const char *folder, const char *name);

#endif

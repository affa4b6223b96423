/* SPDX-License-Identifier: ISC */
/*
 * key_files - the signing keys in the state folder, in the state that their file names tell.
 *
 * SELECTOR.pem signs. SELECTOR.pem.new waits until DNS shows it, SELECTOR.pem.retired signs no
 * more, but mail that it signed is still under way. The daemon reads *.pem only.
 */
#ifndef CMD_KEY_FILES_H
#define CMD_KEY_FILES_H

#include <stdint.h>

#include "lib/proc/config.h"

enum key_file_state { KEY_FILE_NEW, KEY_FILE_ACTIVE, KEY_FILE_RETIRED };

/* Valid during the callback only. */
struct key_file {
	struct str          domain, selector, path;
	struct str          pem; /* empty if it cannot be read */
	enum key_file_state state;
	int64_t             changed_s; /* when it came to be, or was retired */
};

/* All files of all domains, in no order. */
void
key_files_each(const struct config *c, void (*fn)(void *arg, const struct key_file *f), void *arg);

/* Is there a key of that selector in the folder, in whatever state? */
bool key_files_have(const char *folder, const char *selector);

/* Seconds for which the record of a retired key is still needed: mail may wait for `expire`, and 2 days more. */
int64_t key_file_needed_s(const struct config *c, const struct key_file *f);

#endif

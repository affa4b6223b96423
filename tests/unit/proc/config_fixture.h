/* SPDX-License-Identifier: ISC */
/* config_fixture - a folder with files to configure from, for the tests of config. */
#ifndef TESTS_UNIT_PROC_CONFIG_FIXTURE_H
#define TESTS_UNIT_PROC_CONFIG_FIXTURE_H

#include "lib/proc/config.h"

/* A new folder with cert.pem, key.pem, other.pem (another key), rsa.pem, ed.pem, users and secret. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

const char *fixture_dir(void);
const char *fixture_path(const char *name); /* valid until the next call */
void        fixture_write(const char *name, const char *text, unsigned mode);
void        fixture_copy(const char *from_corpus, const char *name, unsigned mode);

/*
 * Load `text` from the file c.conf (mode 0600) with state and control inside the folder, unless
 * `text` says otherwise itself ("bare"). The report is appended to `report`.
 */
struct config *fixture_load(const char *text, struct buf *report);

/* A value as `config show` has it; all rows of a name joined with " | ". The result is static. */
const char *fixture_value(const struct config *c, const char *name);
const char *fixture_origin(const struct config *c, const char *name);

#endif

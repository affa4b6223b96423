/* SPDX-License-Identifier: ISC */
/* signing - signs a whole message in one process, as delivery and keyd do it in two. */
#ifndef TESTS_DKIM_SIGNING_H
#define TESTS_DKIM_SIGNING_H

#include "dkim/sign.h"
#include "lib/proc/config.h"

/* Append the signature fields for `message`. False if a key does not load or sign. */
bool
signing_fields(struct str message, const struct dkim_conf *conf, int64_t time_s, struct buf *out);

#endif

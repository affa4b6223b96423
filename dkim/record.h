/* SPDX-License-Identifier: ISC */
/* record - a key record as DNS has it (RFC 6376 section 3.6.1), and all that can be wrong with it. */
#ifndef DKIM_RECORD_H
#define DKIM_RECORD_H

#include "lib/proc/config.h"

struct dkim_record {
	enum key_type type;
	struct buf    key;                      /* p=, decoded; empty: revoked */
	bool          revoked, testing, strict; /* t=y, t=s */
	bool          no_sha256, no_email;      /* h=, s= shut us out */
};

/* False with the mistake in `why`. Free it in any case. */
bool dkim_record_parse(struct dkim_record *r, struct str txt, struct buf *why) MUST_USE;
void dkim_record_free(struct dkim_record *r);

struct str tag_trim(struct str s); /* without folding white space at both ends */

/* The next "name=value" of a list of tags, both trimmed. False at the end; `name` is empty for what is none. */
bool tag_next(struct str *rest, struct str *name, struct str *value);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * warrant - may this be signed with that key?
 *
 * What a signature covers (RFC 6376 section 3.7) reaches keyd as text and not as a
 * digest, so that keyd can read it: whoever has taken delivery over gets
 * signatures of mail whose authors belong to the key's domain, and of nothing else.
 */
#ifndef DKIM_WARRANT_H
#define DKIM_WARRANT_H

#include "lib/proc/config.h"

/* The key that is asked for. */
struct warrant {
	struct str    domain;   /* canonical */
	struct str    selector; /* in ASCII */
	enum key_type type;
};

/*
 * `fields` are the covered fields in canonical form, each with its CRLF; `last` is the
 * signature's own field without one and with nothing behind its "b=". Both may come from an
 * attacker. NULL if it is to be signed, or the reason against it, a sentence without end.
 *
 * It is signed if `last` is just what dkim/sign.c writes, for this key (d=, s=, a=), with a
 * whole body hash; if the first author of each From field belongs to the key's domain
 * or one below it; and if h= names From once more than there are such fields.
 */
const char *warrant_check(const struct warrant *w, struct str fields, struct str last);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * header - the header of a message, read in place.
 *
 * The text is in wire form (CRLF line ends). Walking is linear in the text and
 * allocates nothing. Values keep their folding; header_unfold() removes it.
 */
#ifndef LIB_MAIL_HEADER_H
#define LIB_MAIL_HEADER_H

#include "lib/mail/address.h"
#include "lib/util/buf.h"

struct field {
	struct str name;  /* without white space before the colon */
	struct str value; /* after the colon, folding kept, final CRLF dropped */
	struct str raw;   /* the whole field with its final CRLF */
};

/*
 * Split a message at the empty line: `head` gets the fields with their CRLFs,
 * `body` what is behind the empty line. Without an empty line all of it is head.
 */
void header_split(struct str message, struct str *head, struct str *body);

/*
 * Cut the next field off `rest`. False at the end. A line that is no field (RFC 5322
 * section 2.2) comes as one with an empty name and `raw` alone, and sets `bad`, which
 * is never cleared and may be NULL: who copies all `raw`s has the head unchanged.
 */
bool header_next(struct str *rest, struct field *f, bool *bad);

/* The n-th field of that name from the top (0: first); false if there is none. */
bool   header_find(struct str head, struct str name, size_t n, struct field *f);
size_t header_count(struct str head, struct str name);

void header_unfold(struct buf *out, struct str value); /* CRLFs dropped, trimmed */

/*
 * Cut the next mailbox off an address-list value (From, To, Sender ...): display
 * names, comments (nested at most 16), groups and folding are skipped. False at
 * the end. `bad` says that the list is not well-formed; walking stops there; it is never
 * cleared. A lone word ("root") gives an address without domain, "Ann <>" the null
 * address; a bare "<>" is passed over.
 */
bool header_mailbox(struct str *rest, struct address *a, bool *bad);

#endif

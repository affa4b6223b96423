/* SPDX-License-Identifier: ISC */
/* dmarc - which record speaks for a domain: the tree walk of RFC 9989 section 4.10. */
#ifndef DOCTOR_DMARC_H
#define DOCTOR_DMARC_H

#include "doctor/facts.h"

struct dmarc {
	enum { DMARC_PENDING, DMARC_NO_ANSWER, DMARC_NONE, DMARC_SEVERAL, DMARC_FOUND } state;
	struct str at;     /* the name whose record it is: the domain or its organizational domain */
	struct str record; /* borrowed from the facts */
	struct str wrong;  /* text at _dmarc that is no record, e.g. "v=dmarc1"; empty: none */
	struct str p, sp, np, rua, pct, t, adkim; /* tags, empty if not there */
};

void dmarc_find(struct dmarc *d, struct facts *f, struct str domain);

/*
 * Cut the next address off `rua`, a record's list. `name` is the name at which its owner must consent
 * to reports about `d->at` (RFC 9990 section 4), empty if they are the domain's own. False at the end.
 */
bool dmarc_next_report(const struct dmarc *d, struct str *rua, struct buf *name);

/* v=DMARC1 in front, and with that case. */
bool dmarc_is_record(struct str txt);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * records - all DNS records that the domains and this host need, and how each stands in DNS.
 *
 * What is there and right is kept as it is: an SPF record gets our addresses added, a
 * DMARC record of any policy is left alone.
 */
#ifndef DOCTOR_RECORDS_H
#define DOCTOR_RECORDS_H

#include "doctor/exam.h"

enum record_state {
	RECORD_PRESENT,
	RECORD_MISSING,
	RECORD_DIFFERS,
	RECORD_UNKNOWN, /* no answer */
};

struct wanted {
	enum record_state state;
	const char       *type;
	struct buf        name, value; /* as struct fix_record */
	struct buf        have;        /* what is there instead */
	const char       *what;        /* "SPF", "DKIM", ...: its purpose */
	const char       *note;        /* what else to know, or NULL */
	struct buf        whom;        /* who can set it, if that is somebody else: a sentence */
	bool              optional;    /* mail arrives without it */
	struct str        domain;      /* for which it is wanted; empty: for the host */
};

enum { RECORDS_MAX = 40000 };

struct records {
	struct wanted *v;
	size_t         n;
};

/* Made anew from the exam's facts; records_free() first if it was made before. */
void records_make(struct records *r, struct exam *e);
void records_free(struct records *r); /* zeroed ones are allowed */

const char *record_state_name(enum record_state s);
size_t      records_count(const struct records *r, enum record_state s, bool optional_too);

#endif

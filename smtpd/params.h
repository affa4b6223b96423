/* SPDX-License-Identifier: ISC */
/*
 * params - the ESMTP parameters of MAIL and RCPT.
 *
 * SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET ENVID NOTIFY ORCPT
 * (RFC 3461) and AUTH= (RFC 4954 section 5). A parameter twice, unknown or
 * malformed is refused by name; control octets hidden in xtext too.
 */
#ifndef SMTPD_PARAMS_H
#define SMTPD_PARAMS_H

#include "lib/mail/envelope.h"
#include "lib/mail/reply.h"

struct mail_params {
	uint64_t   size; /* 0: not said */
	bool       eightbit;
	bool       smtputf8;
	enum ret   ret;
	struct str envid; /* decoded */
};

struct rcpt_params {
	unsigned   notify; /* NOTIFY_* */
	struct str orcpt;  /* decoded */
};

/*
 * Parse what follows the path, " SIZE=12 BODY=8BITMIME". A code other than 250
 * refuses; its text is a literal. Decoded values live in `scratch`, which is cleared first.
 */
struct reply params_mail(struct str text, struct mail_params *out, struct buf *scratch);
struct reply params_rcpt(struct str text, struct rcpt_params *out, struct buf *scratch);

#endif

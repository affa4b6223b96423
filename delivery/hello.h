/* SPDX-License-Identifier: ISC */
/* hello - what a server's answer to EHLO offers. */
#ifndef DELIVERY_HELLO_H
#define DELIVERY_HELLO_H

#include "lib/util/str.h"

struct hello {
	bool     pipelining, starttls, eightbit, smtputf8, dsn, size;
	bool     auth_plain, auth_login, auth_xoauth2;
	uint64_t size_max; /* 0: no limit said */
	unsigned rcpt_max; /* LIMITS RCPTMAX of RFC 9422; 0: not said */
	unsigned mail_max; /* LIMITS MAILMAX: transactions a connection; 0: not said */
};

/* `lines`: the reply's lines without codes, "\n" between; the first is the greeting. */
void hello_parse(struct hello *h, struct str lines);

#endif

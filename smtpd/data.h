/* SPDX-License-Identifier: ISC */
/*
 * data - where a message ends, and what its octets are (RFC 5321 sections 4.1.1.4 and 4.5.2).
 *
 * The end is CRLF "." CRLF and nothing else. Servers that took LF or CR for a
 * line end there let two messages pass as one (smuggling: CVE-2023-51764 and
 * kin). So a bare CR, a bare LF or a NUL is a fault: the rest is read up to the
 * true end and the message refused. One repair exists, for trusted clients on
 * loopback: a bare LF becomes CRLF; even then it ends no message, and a dot
 * behind it is an ordinary character.
 *
 * A line of over 998 octets is a fault too, for it could not be sent on (RFC 5321 section
 * 4.5.3.1.6), unless the caller can help it: in the header, up to the first empty line, a line
 * can be folded (refold.h), and with `long_ok` the body is encoded anew (recode.h).
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include "lib/util/str.h"

enum { DATA_LINE_MAX = 998 };

enum data_fault { DATA_FINE, DATA_BARE_CR, DATA_BARE_LF, DATA_NUL, DATA_LONG_LINE };

enum data_kind { DATA_DOTTED, DATA_COUNTED }; /* DATA; BDAT, where dots and the end mean nothing */

struct data {
	enum data_kind  kind;
	bool            repair;
	bool            repaired; /* a bare LF became CRLF */
	bool            ended;    /* CRLF.CRLF has been seen */
	bool            long_ok;  /* a long line in the body is no fault; the caller sets it */
	uint64_t        long_line; /* the first such line then, from 1; 0: none */
	enum data_fault fault;    /* the first one; no output comes after it */
	uint64_t        line;     /* of the fault, from 1 */
	/* its own */
	unsigned state, column;
	bool     in_head;
	uint64_t lines;
};

typedef void data_fn(void *arg, struct str run);

void data_init(struct data *d, enum data_kind kind, bool repair);

/*
 * Take input; the message's octets leave through `out` in large runs that borrow from `in`.
 * Returns how much was taken: all of it, or up to the end of the message.
 */
size_t data_feed(struct data *d, struct str in, data_fn *out, void *arg);

/* The last octet of a counted message has been fed: a missing CRLF is added. */
void data_finish(struct data *d, data_fn *out, void *arg);

/* True if an octet over 127 is in it: the message then needs 8BITMIME, or its header SMTPUTF8. */
bool data_has_eightbit(struct str s);

/* One literal sentence about the fault. */
const char *data_fault_text(enum data_fault fault);

#endif

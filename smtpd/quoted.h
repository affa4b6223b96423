/* SPDX-License-Identifier: ISC */
/*
 * quoted - the body of a MIME part in lines that every server passes on.
 *
 * The text is in wire form, CRLF line ends and no other CR or LF; what a reader decodes is the
 * same octet for octet. No line of the output begins with a hyphen that the input did not have
 * at the start of a line: it could be taken for a boundary.
 */
#ifndef SMTPD_QUOTED_H
#define SMTPD_QUOTED_H

#include "lib/util/str.h"

/* Where the output goes: `fn` gets it in large runs, the last of them at outlet_flush(). */
struct outlet {
	void (*fn)(void *arg, struct str run);
	void  *arg;
	size_t n;
	char   stage[4096];
};

void outlet_add(struct outlet *o, struct str s);
void outlet_flush(struct outlet *o);

/* Quoted-printable (RFC 2045 section 6.7), lines of at most 76 octets. */
void quoted_encode(struct outlet *o, struct str text);

/* The same encoding already, with lines of over 998 octets: those are broken softly. */
void quoted_refold(struct outlet *o, struct str text);

/* Base64 likewise: its line ends have no meaning. */
void quoted_refold_base64(struct outlet *o, struct str text);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * syntax - the pieces that addresses are made of, for address.c and header.c.
 *
 * Octets over 127 must be well-formed UTF-8 (RFC 6531 section 3.3, RFC 6532);
 * whether they may be used at all is decided by who has the whole address.
 */
#ifndef LIB_MAIL_SYNTAX_H
#define LIB_MAIL_SYNTAX_H

#include "lib/util/str.h"

bool syntax_is_utf8(struct str s);  /* well-formed: no overlong forms, no surrogates */
bool syntax_is_ascii(struct str s); /* no octet over 127 */

bool syntax_is_atext(char c); /* RFC 5322 section 3.2.3, and any octet over 127 */

/* Octets of the quoted string at the start of `s`, quotes included; 0: none, or without end. */
size_t syntax_quoted(struct str s);

bool syntax_local(struct str s);   /* dot-string or quoted string, of any length */
bool syntax_domain(struct str s);  /* labels of letters, digits, inner hyphens, UTF-8; no literal */
bool syntax_literal(struct str s); /* "[192.0.2.1]", "[IPv6:2001:db8::1]" */

#endif

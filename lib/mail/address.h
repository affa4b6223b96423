/* SPDX-License-Identifier: ISC */
/*
 * address - mail addresses as RFC 5321 section 4.1.2 writes them.
 *
 * Parsing is strict in what could be used to fool somebody: source routes,
 * percent and bang paths, control octets and bare 8-bit without SMTPUTF8 are
 * each told apart, so that policy can refuse them by name.
 */
#ifndef LIB_MAIL_ADDRESS_H
#define LIB_MAIL_ADDRESS_H

#include "lib/util/buf.h"

enum { ADDRESS_MAX = 254, LOCAL_MAX = 64, DOMAIN_MAX = 255 };

/* Both parts borrow from the parsed text. The null address has neither. */
struct address {
	struct str local;   /* as written, quotes included */
	struct str domain;  /* as written; "[192.0.2.1]" for a literal */
	bool       utf8;    /* an octet over 127 somewhere: needs SMTPUTF8 */
	bool       literal; /* domain is an address literal */
};

enum address_error {
	ADDRESS_OK,
	ADDRESS_SYNTAX,
	ADDRESS_TOO_LONG,
	ADDRESS_SOURCE_ROUTE, /* <@a,@b:c@d>: parsed, the route dropped, but said */
	ADDRESS_NO_DOMAIN,    /* <root>: `local` is set, the caller may complete it */
};

/*
 * Parse "<...>" as it follows FROM: or TO:, cutting it off `rest`. White space
 * before it is allowed (clients write it); missing brackets are not. "<>" gives the null
 * address and ADDRESS_OK.
 */
enum address_error address_parse_path(struct str *rest, struct address *a) MUST_USE;

/* Parse a bare mailbox "local@domain", all of `s`. */
enum address_error address_parse(struct str s, struct address *a) MUST_USE;

bool address_is_null(struct address a);
void address_format(struct buf *out, struct address a); /* local@domain, without brackets */

/* True if local holds '%' or '!' or a quoted '@': a hidden second route. */
bool address_has_hidden_route(struct address a);

/*
 * The domain in the one form that is compared, looked up and used as a lane:
 * lower-case A-labels without a final dot (RFC 5891), literals as written in
 * lower case. False if it is no valid domain name.
 */
bool domain_canonical(struct buf *out, struct str domain) MUST_USE;

/*
 * Patterns of `domains` and `from`: "example.com", "*.example.com" (any depth
 * below, not itself), "*@example.com", "ann@example.com", "*". `domain` is
 * canonical; patterns compare without case, the local part with case only if quoted.
 */
bool address_matches(struct address a, struct str pattern);
bool domain_matches(struct str domain, struct str pattern);

/* True if `name` is `domain` or a name below it; without case, and without any other sameness. */
bool domain_is_within(struct str name, struct str domain);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * dns - questions to the resolver and typed answers, in our event loop.
 *
 * The only home of libunbound. At most 256 questions are with the resolver at
 * once, the others wait their turn; each ends within its own deadline (10 s).
 * Callbacks never come from inside dns_ask().
 */
#ifndef LIB_DNS_DNS_H
#define LIB_DNS_DNS_H

#include "lib/net/addr.h"
#include "lib/util/buf.h"

struct loop;
struct dns;
struct dns_query;

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_SOA = 6, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_DNSKEY = 48, DNS_TLSA = 52 };

enum dns_status {
	DNS_OK,
	DNS_NODATA,   /* the name exists, not this type */
	DNS_NXDOMAIN,
	DNS_TEMPFAIL, /* SERVFAIL, timeout, refused, unusable packet */
	DNS_BOGUS,    /* DNSSEC says forged; treat as temporary */
};

struct dns_record {
	enum dns_type type;
	uint32_t      ttl_s;
	unsigned      preference; /* MX */
	struct addr   addr;       /* A, AAAA */
	struct str    name;       /* MX, PTR, NS, CNAME, SOA: lower case, no final dot; "" is the root (null MX) */
	struct str    data;       /* TXT: strings joined; TLSA: usage, selector, type, octets; others: rdata */
};

/* Valid during the callback only. */
struct dns_answer {
	enum dns_status          status;
	bool                     secure; /* validated by DNSSEC */
	const char              *why;    /* for people, when not OK */
	const struct dns_record *records;
	size_t                   n;
};

enum dns_dnssec { DNSSEC_AUTO, DNSSEC_ON, DNSSEC_OFF };

struct dns_conf {
	bool               recursive; /* from the root; otherwise `servers`, or the system's if none */
	const struct addr *servers;
	size_t             n_servers;
	enum dns_dnssec    dnssec;
};

/*
 * Costs nothing until the first question. dnssec auto: validation is tried once
 * and left off with one log line when the forwarder cannot do it.
 */
struct dns *dns_open(struct loop *l, const struct dns_conf *conf, struct buf *why);
void        dns_close(struct dns *d); /* cancels all questions; NULL is allowed */

/* `name` is in A-labels. `fn` comes once unless cancelled before. */
struct dns_query *dns_ask(struct dns *d, struct str name, enum dns_type type,
                          void (*fn)(void *arg, const struct dns_answer *answer), void *arg);
void              dns_cancel(struct dns_query *q); /* NULL is allowed */

/*
 * Parse a DNS answer packet to `type` for the name asked, following CNAMEs inside
 * it. Fills at most `max` records that borrow from `scratch`. For dns.c and the fuzzer.
 */
enum dns_status dns_parse(struct str packet, enum dns_type type, struct dns_record *records, size_t max,
                          size_t *n, struct buf *scratch);

#endif

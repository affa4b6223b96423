/* SPDX-License-Identifier: ISC */
/*
 * exam - all checks over all subjects, and what was found.
 *
 * A check is a plain function of configuration and facts (doctor/facts.h) that fills one
 * finding. The whole exam is made again and again while facts come in: exam_run()
 * starts with no findings each time.
 */
#ifndef DOCTOR_EXAM_H
#define DOCTOR_EXAM_H

#include "doctor/facts.h"
#include "lib/proc/config.h"
#include "lib/util/list.h"

/* In the order of severity. Skipped is no judgement, and never counted as passed. */
enum check_status { CHECK_PASS, CHECK_NOTE, CHECK_SKIP, CHECK_WARN, CHECK_FAIL };

const char *check_status_name(enum check_status s);

struct fix_record {
	struct buf  name, value; /* without final dot; a TXT value is the joined text */
	const char *type;
};

enum { FIX_RECORDS_MAX = 4, EXAM_TTL_S = 3600 };

struct finding {
	struct link       link;
	const char       *id;
	enum check_status status;
	struct str        domain, selector, ehlo; /* borrowed from config and exam */
	struct addr       source;
	struct buf        observed, expected;
	struct buf        why; /* one sentence for people, whatever the status */
	struct buf        fix; /* what to do, if there is something */
	struct fix_record records[FIX_RECORDS_MAX];
	size_t            n_records;
	const char       *refs, *refused_by; /* refused_by: "Gmail 550 5.7.25", or NULL */
};

struct exam {
	const struct config *config;
	struct facts        *facts;
	const struct addr   *sources; /* as the world sees them */
	size_t               n_sources;
	const struct str    *domains; /* canonical */
	size_t               n_domains;
	const struct addr   *resolvers; /* whom we ask; none: we ask the root */
	size_t               n_resolvers;
	struct str           only, except; /* beginnings of ids, with blanks between; `only` empty: all */
	bool                 offline, quick; /* quick: only DNS is asked, no connections made */
	int64_t              sync_us; /* of the spool's disk; 0: not measured yet, below: cannot be */

	struct list findings;
};

/* What one run of a check is about; unused members are zero. */
struct subject {
	struct addr                 source;
	struct str                  domain, ehlo;
	const struct dkim_conf     *dkim;
	const struct dkim_key_conf *key;
};

/*
 * Judge everything anew. True: nothing was missing, the findings are final. Findings are in the
 * order of the table of checks.
 */
bool exam_run(struct exam *e);
void exam_free(struct exam *e); /* the findings; the rest is the caller's */

struct str exam_ehlo(const struct exam *e);
bool       exam_is_public(struct addr a); /* one that the world can see */

/* Not offline, not quick, and not behind a smarthost: a check may talk to other servers. */
bool exam_may_connect(const struct exam *e);

/* The host that all mail leaves through, empty if it leaves from here: then its address counts, not ours. */
struct str exam_smarthost(const struct exam *e);

/* The worst status; skip counts as nothing. */
enum check_status exam_worst(const struct exam *e);
size_t            exam_count(const struct exam *e, enum check_status s);

/* ---- for checks ---- */

/* Status and sentence; a check that says nothing has passed. */
void finding_say(struct finding *f, enum check_status s, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void finding_fix(struct finding *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void finding_record(struct finding *f, struct str name, const char *type, struct str value);
void finding_see(struct finding *f, struct str observed); /* added, with ", " between */
void finding_want(struct finding *f, struct str expected);

/* The fact, or NULL: not there yet, or no answer, which makes the finding a skip. */
const struct fact *exam_ask(struct exam *e, struct finding *f, struct str name, enum dns_type type);

/* The reverse name of `source` that leads back to it, if there is one. */
void exam_confirmed_name(struct exam *e, struct addr source, struct buf *name);

/*
 * Append the zone that the reverse name of `source` is in, as far as its SOA shows it; `server`, its
 * first server, lives as long as the facts. False: not found, or not yet.
 */
bool exam_reverse_zone(struct exam *e, struct addr source, struct buf *zone, struct str *server);

/* The one SPF record at `name`, or empty; `n` says how many there are. False: as exam_ask(). */
bool exam_spf(struct exam *e, struct finding *f, struct str name, struct str *record, size_t *n);

/*
 * The SPF record as it ought to be, out of what is at `domain` and the public sources: how it
 * stands, and the text. Without a public source known the name of the host stands for it.
 */
struct spf_standing {
	size_t      records, misquoted, missing; /* missing: sources that do not pass */
	struct buf *text;
};
void exam_spf_wanted(struct exam *e, struct str domain, struct spf_standing *s);

/* For printf: "%.*s" of a str. */
#define S(str) (int)(str).n, ((str).n > 0 ? (str).p : "")

/* The checks, in files of their nouns; the table of exam.c says when each runs. */
void check_host_name(struct exam *e, const struct subject *s, struct finding *f);
void check_src_public(struct exam *e, const struct subject *s, struct finding *f);
void check_msgid(struct exam *e, const struct subject *s, struct finding *f);
void check_relay_open(struct exam *e, const struct subject *s, struct finding *f);
void check_relay_nets(struct exam *e, const struct subject *s, struct finding *f);
void check_tls_cert(struct exam *e, const struct subject *s, struct finding *f);
void check_tls_policy(struct exam *e, const struct subject *s, struct finding *f);
void check_clock(struct exam *e, const struct subject *s, struct finding *f);
void check_queue(struct exam *e, const struct subject *s, struct finding *f);
void check_fs(struct exam *e, const struct subject *s, struct finding *f);
void check_ptr_exists(struct exam *e, const struct subject *s, struct finding *f);
void check_ptr_single(struct exam *e, const struct subject *s, struct finding *f);
void check_ptr_fcrdns(struct exam *e, const struct subject *s, struct finding *f);
void check_ptr_generic(struct exam *e, const struct subject *s, struct finding *f);
void check_ehlo_resolves(struct exam *e, const struct subject *s, struct finding *f);
void check_ehlo_match(struct exam *e, const struct subject *s, struct finding *f);
void check_ehlo_stable(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_record(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_auth(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_lookups(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_void(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_all(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_style(struct exam *e, const struct subject *s, struct finding *f);
void check_spf_helo(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_record(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_match(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_bits(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_flags(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_all_ns(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_sign(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_age(struct exam *e, const struct subject *s, struct finding *f);
void check_dkim_present(struct exam *e, const struct subject *s, struct finding *f);
void check_dmarc_record(struct exam *e, const struct subject *s, struct finding *f);
void check_dmarc_policy(struct exam *e, const struct subject *s, struct finding *f);
void check_dmarc_style(struct exam *e, const struct subject *s, struct finding *f);
void check_dmarc_rua(struct exam *e, const struct subject *s, struct finding *f);
void check_dmarc_align(struct exam *e, const struct subject *s, struct finding *f);
void check_bounce_mx(struct exam *e, const struct subject *s, struct finding *f);
void check_bounce_rcpt(struct exam *e, const struct subject *s, struct finding *f);
void check_contact(struct exam *e, const struct subject *s, struct finding *f);
void check_dnsbl_ip(struct exam *e, const struct subject *s, struct finding *f);
void check_dnsbl_domain(struct exam *e, const struct subject *s, struct finding *f);
void check_dns_resolver(struct exam *e, const struct subject *s, struct finding *f);
void check_port25(struct exam *e, const struct subject *s, struct finding *f);
void check_ipv6(struct exam *e, const struct subject *s, struct finding *f);

#endif

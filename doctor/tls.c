/* SPDX-License-Identifier: ISC */
/* Our own certificate, and what the domain says about TLS to those who answer our mail. */
#include "lib/net/tls.h"
#include "doctor/exam.h"
#include "lib/util/time.h"

enum { TEXT_LIMIT = 16 * 1024, NAME_LIMIT = 600, DAY_MS = 24 * 3600 * 1000, CERT_WARN_DAYS = 14 };

/* ---- our listeners' certificate ---- */

static bool
sign_nothing(void *arg, const struct tls_to_sign *what, struct buf *signature)
{
	(void)arg;
	(void)what;
	(void)signature;
	return false;
}

/* Inside the daemon the private key is out of reach: what can be said without it is said. */
static const struct tls_signer nobody = {.sign = sign_nothing};

static struct tls_pair
pair_of(const struct tls_conf *t)
{
	return (struct tls_pair){.cert_pem = t->cert_pem, .key_pem = t->key_pem, .signer = &nobody};
}

static void
judge_usable(struct finding *f, const struct tls_conf *t, int64_t until)
{
	struct tls_pair pair = pair_of(t);
	const char     *weakness = tls_pair_weakness(&pair);
	int64_t         days = (until - time_wall_ms()) / DAY_MS;

	if (until < time_wall_ms())
		finding_say(f, CHECK_FAIL, "the certificate %.*s has expired", S(t->cert_path));
	else if (weakness != NULL && f->status < CHECK_FAIL)
		finding_say(f, CHECK_WARN, "the certificate %.*s %s", S(t->cert_path), weakness);
	else if (days < CERT_WARN_DAYS && f->status < CHECK_WARN)
		finding_say(f, CHECK_WARN, "the certificate %.*s ends in %lld days",
		            S(t->cert_path), (long long)days);
	else if (f->status == CHECK_PASS)
		finding_say(f, CHECK_PASS, "a certificate, %lld days left", (long long)days);
}

static void
judge_cert(struct exam *e, struct finding *f, const struct tls_conf *t, bool *covers)
{
	struct tls_pair    pair = pair_of(t);
	struct tls_server *server = NULL;
	struct buf         names = BUF(TEXT_LIMIT), why = BUF(TEXT_LIMIT);
	int64_t            until = 0;

	if (!tls_pair_check(&pair, &until, &names, &why) ||
	    (server = tls_server_create(&pair, 1, &why)) == NULL) {
		finding_say(f, CHECK_FAIL, "the certificate %.*s is of no use: %s", S(t->cert_path),
		            buf_z(&why));
	} else {
		finding_see(f, buf_str(&names));
		judge_usable(f, t, until);
		*covers = *covers || tls_server_covers(server, e->config->hostname);
	}
	tls_server_unref(server);
	buf_free(&names);
	buf_free(&why);
}

void
check_tls_cert(struct exam *e, const struct subject *s, struct finding *f)
{
	bool covers = false;

	(void)s;
	if (e->config->n_tls == 0) {
		finding_say(f, CHECK_SKIP, "no certificate is configured");
		return;
	}
	for (size_t i = 0; i < e->config->n_tls; i++)
		judge_cert(e, f, &e->config->tls[i], &covers);
	if (!covers && f->status == CHECK_PASS)
		finding_say(f, CHECK_WARN, "no certificate is for the host name %.*s",
		            S(e->config->hostname));
	if (f->status >= CHECK_WARN)
		finding_fix(f, "Get a new certificate for %.*s; the daemon reads it by itself.",
		            S(e->config->hostname));
}

/* ---- mail to the domain ---- */

/* Does a TXT record begin so? False and `known` false: there was no answer. */
static bool
has_text(struct exam *e, struct finding *f, struct str name, struct str begin, bool *known)
{
	const struct fact *txt = exam_ask(e, f, name, DNS_TXT);

	*known = *known && txt != NULL;
	for (size_t i = 0; txt != NULL && i < txt->n; i++)
		if (str_starts(txt->records[i].data, begin))
			return true;
	return false;
}

/* DANE counts only where DNSSEC vouches for it (RFC 7672 section 2.1). */
static bool
has_tlsa(struct exam *e, struct finding *f, struct str host, bool *known)
{
	struct buf         name = BUF(NAME_LIMIT);
	const struct fact *a;

	buf_addz(&name, "_25._tcp.");
	buf_add(&name, host);
	a = exam_ask(e, f, buf_str(&name), DNS_TLSA);
	buf_free(&name);
	*known = *known && a != NULL;
	return a != NULL && a->n > 0 && a->secure;
}

/* This is about mail that comes, which is not ours: never more than a note. */
void
check_tls_policy(struct exam *e, const struct subject *s, struct finding *f)
{
	const struct fact *mx = exam_ask(e, f, s->domain, DNS_MX);
	struct buf         sts = BUF(NAME_LIMIT), rpt = BUF(NAME_LIMIT), value = BUF(NAME_LIMIT);
	bool               known = true, has_sts, has_rpt, dane = true;

	if (mx == NULL)
		return;
	if (mx->n == 0 || mx->records[0].name.n == 0) {
		finding_say(f, CHECK_SKIP, "the domain takes no mail");
		return;
	}
	buf_addf(&sts, "_mta-sts.%.*s", S(s->domain));
	buf_addf(&rpt, "_smtp._tls.%.*s", S(s->domain));
	buf_addf(&value, "v=TLSRPTv1; rua=mailto:postmaster@%.*s", S(s->domain));
	has_sts = has_text(e, f, buf_str(&sts), STR("v=STSv1;"), &known);
	has_rpt = has_text(e, f, buf_str(&rpt), STR("v=TLSRPTv1;"), &known);
	for (size_t i = 0; i < mx->n; i++)
		dane = has_tlsa(e, f, mx->records[i].name, &known) && dane;
	if (known && (has_sts || dane) && has_rpt) {
		finding_say(f, CHECK_PASS, "mail to the domain is protected by %s, with reports",
		            dane ? "DANE" : "MTA-STS");
	} else if (known) {
		finding_say(f, CHECK_NOTE, "mail to the domain: %s, %s",
		            dane      ? "protected by DANE"
		            : has_sts ? "protected by MTA-STS"
		                      : "TLS can be stripped (neither MTA-STS nor DANE)",
		            has_rpt ? "TLS failures are reported"
		                    : "TLS failures are not reported");
		if (!has_sts && !dane)
			finding_fix(
				f,
				"Whoever runs the MX can publish TLSA records (with DNSSEC), or a policy at https://mta-sts.%.*s/.well-known/mta-sts.txt and its record.",
				S(s->domain));
		if (!has_rpt)
			finding_fix(f, "Reports of failed TLS come with this record:");
		if (!has_rpt)
			finding_record(f, buf_str(&rpt), "TXT", buf_str(&value));
	}
	buf_free(&sts);
	buf_free(&rpt);
	buf_free(&value);
}

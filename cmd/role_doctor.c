/* SPDX-License-Identifier: ISC */
/*
 * The doctor inside the daemon: a process for one exam (lib/proc/checkup.h).
 *
 * It has DNS and outgoing connections, certificates and the public halves of the keys, and
 * nothing else: no file can be opened, so what is on the disk is for `postern doctor`.
 */
#include "cmd/role_doctor.h"

#include <string.h>

#include "cmd/world.h"
#include "lib/proc/control.h"
#include "lib/proc/role.h"
#include "lib/util/log.h"

enum { ROWS_MAX = 1024 * 1024, SUBJECT_MAX = 1024, WORDS_MAX = 4096 };

/* Private keys, listeners and their policy, and the disk: not to be had from in here. */
static const char out_of_reach[] = "relay. queue fs dkim.sign";

struct visit {
	struct role *role;
	struct world world;
	struct buf   only, except;
	bool         open;
};

/* ---- the result ---- */

static void
add_subject(struct buf *out, const struct finding *f)
{
	if (f->source.family != 0) {
		addr_format(out, f->source);
		buf_addc(out, ' ');
	}
	if (f->selector.n > 0)
		buf_addf(out, "%.*s._domainkey.", S(f->selector));
	buf_add(out, f->domain);
}

static void
add_finding(struct buf *out, const struct finding *f)
{
	struct buf subject = BUF(SUBJECT_MAX);

	add_subject(&subject, f);
	control_cell(out, "kind", STR("finding"));
	control_cell(out, "id", str_of(f->id));
	control_cell(out, "status", str_of(check_status_name(f->status)));
	control_cell(out, "subject", str_trim(buf_str(&subject)));
	control_cell(out, "why", str_sub(buf_str(&f->why), 0, SUBJECT_MAX));
	control_row_end(out);
	buf_free(&subject);
}

static bool
is_first_of_id(const struct exam *e, const struct finding *f)
{
	struct finding *o;

	LIST_EACH(&e->findings, o, struct finding, link)
		if (strcmp(o->id, f->id) == 0)
			return o == f;
	return false;
}

/* Findings of one check stand together; so this is read once for each check. */
static void
add_counts(struct buf *out, const struct exam *e, const char *id)
{
	static const enum check_status all[] = {CHECK_PASS, CHECK_NOTE, CHECK_WARN, CHECK_FAIL,
	                                        CHECK_SKIP};
	struct finding                *f;

	control_cell(out, "kind", STR("count"));
	control_cell(out, "id", str_of(id));
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		int64_t n = 0;

		LIST_EACH(&e->findings, f, struct finding, link)
			n += strcmp(f->id, id) == 0 && f->status == all[i];
		control_cell_int(out, check_status_name(all[i]), n);
	}
	control_row_end(out);
}

/* The worst first: what does not fit is the least of it. */
static void
add_rows(struct buf *out, const struct exam *e, bool with_passed)
{
	static const enum check_status order[] = {CHECK_FAIL, CHECK_WARN, CHECK_NOTE, CHECK_SKIP,
	                                          CHECK_PASS};
	struct finding                *f;

	LIST_EACH(&e->findings, f, struct finding, link)
		if (is_first_of_id(e, f))
			add_counts(out, e, f->id);
	for (size_t i = 0; i < ARRAY_LEN(order) - !with_passed; i++)
		LIST_EACH(&e->findings, f, struct finding, link)
			if (f->status == order[i] && out->n < out->limit - 2 * WORDS_MAX)
				add_finding(out, f);
}

/* ---- gates ---- */

/* What counts for a gate: failing beats not knowing, and that beats passing. */
struct gate {
	bool asked, fails, unknown;
};

static void
judge(struct gate *g, const struct finding *f)
{
	g->asked = true;
	g->fails = g->fails || f->status == CHECK_FAIL;
	g->unknown = g->unknown || f->status == CHECK_SKIP;
}

static const char *
gate_word(const struct gate *g)
{
	return g->fails ? "fail" : g->unknown ? "skip" : "pass";
}

static bool
is_of(const struct finding *f, const char *const *ids)
{
	for (; *ids != NULL; ids++)
		if (strcmp(f->id, *ids) == 0)
			return true;
	return false;
}

static void
add_ptr(struct buf *out, const struct exam *e, unsigned family)
{
	static const char *const ids[] = {"ptr.exists", "ptr.fcrdns", NULL};
	struct gate              g = {0};
	struct finding          *f;

	LIST_EACH(&e->findings, f, struct finding, link)
		if (f->source.family == family && is_of(f, ids))
			judge(&g, f);
	if (g.asked)
		buf_addf(out, "ptr %u %s\n", family, gate_word(&g));
}

/* No record at all is a failure, too: spf.auth says so by itself or skips, then spf.record counts. */
static void
add_spf(struct buf *out, const struct exam *e, unsigned family, struct str domain)
{
	struct gate     g = {0};
	struct finding *f;
	bool            no_record = false;

	LIST_EACH(&e->findings, f, struct finding, link) {
		if (!str_eq(f->domain, domain))
			continue;
		no_record = no_record ||
		            (strcmp(f->id, "spf.record") == 0 && f->status == CHECK_FAIL);
		if (strcmp(f->id, "spf.auth") == 0 && f->source.family == family)
			judge(&g, f);
	}
	g.fails = g.fails || no_record;
	if (g.asked)
		buf_addf(out, "spf %u %.*s %s\n", family, S(domain), gate_word(&g));
}

/* One good key is enough: delivery signs with those that are published. */
static void
add_dkim(struct buf *out, const struct exam *e, struct str domain)
{
	static const char *const ids[] = {"dkim.record", "dkim.match", NULL};
	struct gate              best = {0};
	bool                     any = false, good = false;

	for (size_t i = 0; i < e->config->n_dkim; i++)
		for (size_t k = 0; k < e->config->dkim[i].n_keys; k++) {
			struct gate     g = {0};
			struct finding *f;

			LIST_EACH(&e->findings, f, struct finding, link)
				if (str_eq(e->config->dkim[i].domain, domain) &&
				    str_eq(f->domain, domain) &&
				    str_eq(f->selector, e->config->dkim[i].keys[k].selector) &&
				    is_of(f, ids))
					judge(&g, f);
			any = any || g.asked;
			good = good || (g.asked && !g.fails && !g.unknown);
			best.fails = best.fails || g.fails;
			best.unknown = best.unknown || (g.unknown && !g.fails);
		}
	if (!any)
		return;
	if (good)
		best = (struct gate){0};
	else if (best.unknown)
		best.fails = false;
	buf_addf(out, "dkim %.*s %s\n", S(domain), gate_word(&best));
}

static void
add_gates(struct buf *out, const struct exam *e)
{
	add_ptr(out, e, 4);
	add_ptr(out, e, 6);
	for (size_t i = 0; i < e->n_domains; i++) {
		add_spf(out, e, 4, e->domains[i]);
		add_spf(out, e, 6, e->domains[i]);
		add_dkim(out, e, e->domains[i]);
	}
}

static void
tell(struct visit *v)
{
	struct buf rows = BUF(ROWS_MAX), gates = BUF(ROWS_MAX / 2);

	add_rows(&rows, &v->world.exam, v->only.n > 0);
	add_gates(&gates, &v->world.exam);
	role_tell(v->role, WIRE_FINDINGS,
	          &(struct wire_findings){.rows = buf_str(&rows), .gates = buf_str(&gates)});
	buf_free(&rows);
	buf_free(&gates);
}

/* ---- the role ---- */

static bool
start(void *self, struct role *r, struct buf *why)
{
	struct visit *v = self;

	(void)why;
	v->role = r;
	return true;
}

/* Before the sandbox closes: the resolver's files are read here. */
static void
take_config(void *self, struct config *c)
{
	struct visit *v = self;

	if (v->open) {
		config_unref(c);
		return;
	}
	v->world.inside = true;
	v->open = world_open(&v->world, c) == CMD_OK;
}

static void
told(void *self, enum wire_id id, const void *msg)
{
	struct visit              *v = self;
	const struct wire_examine *m = msg;

	if (id != WIRE_EXAMINE)
		return;
	buf_clear(&v->only);
	buf_clear(&v->except);
	buf_add(&v->only, m->only);
	buf_add(&v->except, m->except);
	buf_addf(&v->except, " %s", out_of_reach);
}

/* Blocks in a loop of its own for some seconds; the supervisor kills whom it need not wait for. */
static void
go(void *self)
{
	struct visit *v = self;

	if (v->open) {
		v->world.exam.only = buf_str(&v->only);
		v->world.exam.except = buf_str(&v->except);
		world_judge(&v->world);
		tell(v);
	}
	role_done(v->role);
}

int
role_doctor_main(unsigned index)
{
	static const struct role_hooks hooks = {
		.start = start, .config = take_config, .go = go, .told = told};
	struct visit v = {.only = BUF(WORDS_MAX), .except = BUF(WORDS_MAX)};
	int          code = role_run(ROLE_DOCTOR, index, &hooks, &v);

	world_close(&v.world);
	buf_free(&v.only);
	buf_free(&v.except);
	return code;
}

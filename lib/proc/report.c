/* SPDX-License-Identifier: ISC */
#include "lib/proc/report.h"

#include <unistd.h>

#include "lib/proc/checkup.h"
#include "lib/proc/config.h"
#include "lib/proc/control.h"
#include "lib/proc/crew.h"
#include "lib/proc/memory.h"
#include "lib/proc/sockets.h"

enum { SANDBOX_MAX = 80 };

const char *
report_mode(const struct config *c)
{
	return config_is_capture(c) ? "capture" : "live";
}

/* The next row "name value" that is one. */
static bool
next_stat(struct str *rows, struct str *name, int64_t *value)
{
	struct str line;
	uint64_t   number;

	while (str_cut(rows, '\n', &line)) {
		*name = str_word(&line);
		if (name->n > 0 && str_number(str_trim(line), INT64_MAX, &number)) {
			*value = (int64_t)number;
			return true;
		}
	}
	return false;
}

/* What the role says of its sandbox; a word of its own, so it may be a lie of one that was taken over. */
static struct str
member_sandbox(const struct member *m)
{
	struct str rows = buf_str(&m->stats), line;

	while (str_cut(&rows, '\n', &line))
		if (str_eq(str_word(&line), STR("sandbox")))
			return str_sub(str_trim(line), 0, SANDBOX_MAX);
	return STR_NONE;
}

static bool
member_stat(const struct member *m, struct str want, int64_t *sum)
{
	struct str rows = buf_str(&m->stats), name;
	int64_t    value;
	bool       found = false;

	while (next_stat(&rows, &name, &value)) {
		if (str_eq(name, want)) {
			*sum += value;
			found = true;
		}
	}
	return found;
}

bool
report_stat(struct crew *cr, struct str name, int64_t *sum)
{
	bool found = false;

	*sum = 0;
	for (struct member *m = crew_next(cr, NULL); m != NULL; m = crew_next(cr, m))
		found = member_stat(m, name, sum) || found;
	return found;
}

static void
add_daemon(const struct report *r, struct buf *out)
{
	int      fd = memory_open();
	uint64_t kib;

	control_cell(out, "kind", STR("daemon"));
	control_cell(out, "mode", str_of(report_mode(r->config)));
	control_cell(out, "version", str_of(r->version));
	control_cell(out, "hostname", r->config->hostname);
	control_cell_int(out, "pid", getpid());
	control_cell_int(out, "uptime_ms", r->uptime_ms);
	control_cell_int(out, "generation", r->generation);
	control_cell(out, "config", str_of(r->config_file));
	control_cell_int(out, "stopping", r->stopping);
	if (memory_pss_kib(fd, &kib))
		control_cell_int(out, "supervisor_pss_kib", (int64_t)kib);
	control_row_end(out);
	if (fd >= 0)
		close(fd);
}

static void
add_listener(const struct listen_conf *l, const struct socket_row *row, struct buf *out)
{
	static const char *const tls[] = {
		[LISTEN_PLAIN] = "off",
		[LISTEN_STARTTLS] = "starttls",
		[LISTEN_TLS] = "tls",
	};
	struct buf at = BUF(128);

	addr_format_port(&at, sockets_addr(row));
	control_cell(out, "kind", STR("listener"));
	control_cell(out, "address", buf_str(&at));
	control_cell(out, "tls", str_of(tls[l->tls]));
	control_cell_int(out, "auth", l->auth);
	control_row_end(out);
	buf_free(&at);
}

static void
add_role(const struct member *m, struct buf *out)
{
	int64_t pss = 0;

	if (member_rests(m))
		return;
	control_cell(out, "kind", STR("role"));
	control_cell(out, "role", str_of(role_name(m->id)));
	control_cell_int(out, "index", m->index);
	control_cell_int(out, "pid", m->pid);
	control_cell(out, "state", str_of(member_state_name(m)));
	control_cell_int(out, "restarts", m->restarts);
	if (m->state == MEMBER_READY && member_stat(m, STR("pss_kib"), &pss))
		control_cell_int(out, "pss_kib", pss);
	if (m->state == MEMBER_READY)
		control_cell(out, "sandbox", member_sandbox(m));
	control_row_end(out);
}

/* True if an earlier member, or an earlier row of `m`, has this name: its sum is out already. */
static bool
seen(struct crew *cr, const struct member *m, struct str before, struct str name)
{
	struct str other;
	int64_t    value;

	while (next_stat(&before, &other, &value))
		if (str_eq(other, name))
			return true;
	for (struct member *o = crew_next(cr, NULL); o != m; o = crew_next(cr, o))
		if (member_stat(o, name, &value))
			return true;
	return false;
}

static void
add_stats(struct crew *cr, const struct member *m, struct buf *out)
{
	struct str all = buf_str(&m->stats), rest = all, name;
	int64_t    value;
	size_t     before = 0;

	while (next_stat(&rest, &name, &value)) {
		int64_t sum;

		if (!seen(cr, m, str_sub(all, 0, before), name) && report_stat(cr, name, &sum)) {
			control_cell(out, "kind", STR("stat"));
			control_cell(out, "name", name);
			control_cell_int(out, "value", sum);
			control_row_end(out);
		}
		before = all.n - rest.n;
	}
}

static void
add_trouble(const struct member *m, struct buf *out)
{
	if (m->trouble.n == 0)
		return;
	control_cell(out, "kind", STR("trouble"));
	control_cell(out, "role", str_of(role_name(m->id)));
	control_cell_int(out, "index", m->index);
	control_cell(out, "what", buf_str(&m->trouble));
	control_row_end(out);
}

void
report_status(const struct report *r, struct buf *out)
{
	struct member *m;

	add_daemon(r, out);
	for (size_t i = 0; i < r->sockets->n && i < r->config->n_listens; i++)
		add_listener(&r->config->listens[i], &r->sockets->v[i], out);
	for (m = crew_next(r->crew, NULL); m != NULL; m = crew_next(r->crew, m))
		add_role(m, out);
	for (m = crew_next(r->crew, NULL); m != NULL; m = crew_next(r->crew, m))
		add_stats(r->crew, m, out);
	for (m = crew_next(r->crew, NULL); m != NULL; m = crew_next(r->crew, m))
		add_trouble(m, out);
	if (r->checkup != NULL)
		checkup_report(r->checkup, out);
	control_end(out, 0, STR(""));
}

static void
add_check(struct buf *out, struct buf *first, const char *name, struct str bad)
{
	control_cell(out, "kind", STR("check"));
	control_cell(out, "name", str_of(name));
	control_cell_int(out, "ok", bad.n == 0);
	control_cell(out, "why", bad);
	control_row_end(out);
	if (bad.n > 0 && first->n == 0)
		buf_add(first, bad);
}

static void
check_roles(const struct report *r, struct buf *bad)
{
	for (struct member *m = crew_next(r->crew, NULL); m != NULL; m = crew_next(r->crew, m)) {
		if (m->state == MEMBER_READY || member_rests(m))
			continue;
		buf_addf(bad, "%s%s %u is %s", bad->n > 0 ? ", " : "", role_name(m->id), m->index,
		         member_state_name(m));
	}
}

static void
check_intake(const struct report *r, struct buf *bad)
{
	int64_t state = INTAKE_OPEN;

	(void)report_stat(r->crew, STR("intake"), &state);
	if (state == INTAKE_OPEN)
		return;
	buf_addz(bad, state == INTAKE_FULL ? "the spool is full" : "the spool cannot be written");
	for (struct member *m = crew_next(r->crew, NULL); m != NULL; m = crew_next(r->crew, m)) {
		if (m->id == ROLE_QUEUE && m->trouble.n > 0) {
			buf_addz(bad, ": ");
			buf_add(bad, buf_str(&m->trouble));
		}
	}
}

void
report_readyz(const struct report *r, struct buf *out)
{
	struct buf roles = BUF(4096), intake = BUF(8192), first = BUF(8192);

	check_roles(r, &roles);
	check_intake(r, &intake);
	add_check(out, &first, "running", r->stopping ? STR("the daemon is stopping") : STR(""));
	add_check(out, &first, "roles", buf_str(&roles));
	add_check(out, &first, "intake", buf_str(&intake));
	control_end(out, first.n > 0, buf_str(&first));
	buf_free(&roles);
	buf_free(&intake);
	buf_free(&first);
}

/* SPDX-License-Identifier: ISC */
/*
 * postern setup: from nothing to signed mail that arrives.
 *
 * Finds the host's name and addresses, makes keys, shows the records that are missing and asks
 * until they are visible; only then the domain goes into the configuration, which turns
 * capture to live: mail signed with a key that nobody can look up is worse off than held mail.
 * It may be run again at any time and changes nothing that is right.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/dkim.h"
#include "cmd/records.h"
#include "cmd/setup_file.h"
#include "cmd/table.h"
#include "lib/mail/address.h"
#include "lib/util/json.h"

enum {
	OUTPUT_MAX = 8 << 20,
	TEXT_MAX = 16 * 1024,
	WAIT_S = 10,
	WAIT_LIMIT_S = 48 * 3600,
	BAR = 30,
};

struct setup {
	struct cmd        *c;
	struct world       world;
	struct records     records;
	const char        *path;
	struct buf         hostname; /* empty: the configuration's is right */
	struct buf         made;     /* domains that got keys, for the report */
	enum record_format format;
	bool               yes, no_wait, live, changed;
	uint64_t           held;
};

/* People read along; with --json only the end is told. */
static void
say(const struct setup *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
say(const struct setup *s, const char *format, ...)
{
	va_list args;

	if (s->c->json)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	fflush(stdout);
}

/* ---- the host ---- */

struct naming {
	struct exam *exam;
	struct buf  *name;
};

/* The reverse name that leads back to the address: the only name that no receiver minds. */
static bool
find_name(void *arg)
{
	struct naming *n = arg;

	buf_clear(n->name);
	for (size_t i = 0; i < n->exam->n_sources && n->name->n == 0; i++)
		if (exam_is_public(n->exam->sources[i]))
			exam_confirmed_name(n->exam, n->exam->sources[i], n->name);
	return facts_missing(n->exam->facts) == 0;
}

/* What is configured stays; else the reverse name, the system's name, or mail.DOMAIN. */
static int
choose_hostname(struct setup *s, const char *wanted)
{
	const struct config *c = s->world.config;
	struct naming        n = {&s->world.exam, &s->hostname};

	if (wanted != NULL) {
		if (!domain_canonical(&s->hostname, str_of(wanted)) || strchr(wanted, '.') == NULL)
			return cmd_usage(s->c, "--hostname takes a full name");
		if (str_eq(buf_str(&s->hostname), c->hostname) && c->hostname_origin.file != NULL)
			buf_clear(&s->hostname);
		return CMD_OK;
	}
	if (c->hostname_origin.file != NULL)
		return CMD_OK;
	ask_until(s->world.ask, find_name, &n, 4500);
	if (s->hostname.n > 0)
		return CMD_OK;
	if (str_find(c->hostname, '.') > 0 && c->hostname.p[0] != '[' &&
	    !str_iends(c->hostname, STR(".localdomain")) && !str_iends(c->hostname, STR(".local")))
		buf_add(&s->hostname, c->hostname);
	else
		buf_addf(&s->hostname, "mail.%.*s", S(s->world.domains[0]));
	return CMD_OK;
}

/* The configuration anew, after a file changed; the world keeps its domains and addresses. */
static int
load_again(struct setup *s)
{
	struct config *c = cmd_load(s->c);

	if (c == NULL)
		return CMD_CONFIG;
	config_unref(s->world.config);
	s->world.config = c;
	s->world.exam.config = c;
	return world_forget(&s->world);
}

/* Behind NAT the configuration must say how the world sees us; an address of this machine is plain. */
static bool
is_elsewhere(const struct setup *s, struct addr a)
{
	const struct outbound_conf *o = &s->world.config->outbound;
	struct sockaddr_storage     ss;
	socklen_t                   n = addr_to_sockaddr(a, &ss);
	int  fd = socket(a.family == 4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ours = fd >= 0 && bind(fd, (struct sockaddr *)&ss, n) == 0;

	if (fd >= 0)
		close(fd);
	return !ours && exam_is_public(a) && !addr_equal(a, o->public4) && !addr_equal(a, o->public6);
}

static void
find_public(const struct setup *s, struct buf *out)
{
	for (size_t i = 0; i < s->world.n_sources && s->world.sources_given; i++) {
		if (!is_elsewhere(s, s->world.sources[i]))
			continue;
		buf_addz(out, out->n > 0 ? " " : "");
		addr_format(out, s->world.sources[i]);
	}
}

static void
show_host(const struct setup *s)
{
	struct buf ip = BUF(TEXT_MAX);

	say(s, "Hostname   %.*s\n", S(exam_ehlo(&s->world.exam)));
	for (size_t i = 0; i < s->world.n_sources; i++) {
		buf_clear(&ip);
		addr_format(&ip, s->world.sources[i]);
		say(s, "Address    %s%s\n", buf_z(&ip),
		    exam_is_public(s->world.sources[i])
		            ? ""
		            : "   private: say --public-ip IP, the address that the world sees");
	}
	buf_clear(&ip);
	find_public(s, &ip);
	if (ip.n > 0)
		say(s, "           put `public-ip %s` into the block `outbound`, for the daemon\n",
		    buf_z(&ip));
	buf_free(&ip);
}

static int
set_host(struct setup *s, const char *wanted)
{
	struct buf public = BUF(TEXT_MAX);
	int        code = choose_hostname(s, wanted);

	find_public(s, &public);
	if (code == CMD_OK && (s->hostname.n > 0 || public.n > 0)) {
		struct setup_lines lines = {.hostname = buf_str(&s->hostname),
		                            .public_ips = buf_str(&public)};

		s->changed = setup_file_change(s->path, &lines);
		code = s->changed ? load_again(s) : CMD_FAILED;
	}
	if (code == CMD_OK)
		show_host(s);
	buf_free(&public);
	return code;
}

/* ---- keys ---- */

static const struct dkim_conf *
find_keys(const struct setup *s, struct str domain)
{
	for (size_t i = 0; i < s->world.config->n_dkim; i++)
		if (str_eq(s->world.config->dkim[i].domain, domain))
			return &s->world.config->dkim[i];
	return NULL;
}

static int
make_keys(struct setup *s)
{
	int code = CMD_OK;

	for (size_t i = 0; i < s->world.n_domains && code == CMD_OK; i++) {
		struct str d = s->world.domains[i];

		if (find_keys(s, d) != NULL)
			continue;
		if ((code = dkim_make(s->c, s->world.config, d)) != CMD_OK)
			break;
		buf_addf(&s->made, "%s%.*s", s->made.n > 0 ? " " : "", S(d));
		s->changed = true;
	}
	if (code == CMD_OK && s->made.n > 0)
		code = load_again(s);
	for (size_t i = 0; i < s->world.n_domains && code == CMD_OK; i++) {
		const struct dkim_conf *k = find_keys(s, s->world.domains[i]);

		for (size_t m = 0; k != NULL && m < k->n_keys; m++)
			say(s, "DKIM key   %.*s\n", S(k->keys[m].path));
	}
	return code;
}

/* ---- records ---- */

/* Those without which live mail is refused or fails its own signature; PTR and MX are others' to set. */
static bool
is_gate(const struct wanted *w)
{
	return w->domain.n > 0 && !w->optional && strcmp(w->type, "TXT") == 0;
}

static size_t
count_gates(const struct setup *s, bool open_only)
{
	size_t n = 0;

	for (size_t i = 0; i < s->records.n; i++)
		n += is_gate(&s->records.v[i]) &&
		     (!open_only || s->records.v[i].state == RECORD_PRESENT);
	return n;
}

static bool
all_visible(const struct setup *s)
{
	return count_gates(s, true) == count_gates(s, false);
}

static void
show_records(struct setup *s)
{
	struct buf out = BUF(OUTPUT_MAX);

	records_print(&out, &s->records, s->format, true);
	if (out.n > 0)
		say(s, "\nRecords to publish:\n\n%s", buf_z(&out));
	buf_free(&out);
}

static void
show_bar(const struct setup *s, int waited_s)
{
	size_t all = count_gates(s, false), open = count_gates(s, true);
	size_t full = all > 0 ? open * BAR / all : BAR;

	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r[%.*s%.*s]  %zu of %zu visible   %dm%02ds ", (int)full,
	        "==============================", (int)(BAR - full),
	        "                              ", open, all, waited_s / 60, waited_s % 60);
}

/* Until all are visible, or nobody wants to wait. */
static int
wait_for_records(struct setup *s)
{
	records_ask(&s->world, &s->records);
	if (world_is_silent(&s->world)) {
		cmd_error("setup", "no name server answers", "--resolver IP@PORT names another");
		return CMD_TRY_AGAIN;
	}
	show_records(s);
	if (all_visible(s) || s->no_wait)
		return CMD_OK;
	if (!s->yes) {
		say(s, "Publish them, then press Enter (asked again every %d s) ", WAIT_S);
		while (getchar() != '\n' && !feof(stdin))
			;
	}
	for (int waited = 0; !all_visible(s) && waited < WAIT_LIMIT_S; waited += WAIT_S) {
		show_bar(s, waited);
		if (waited > 0 || s->yes)
			sleep(WAIT_S);
		if (world_forget(&s->world) != CMD_OK)
			return CMD_FAILED;
		records_ask(&s->world, &s->records);
	}
	if (isatty(STDERR_FILENO))
		fputc('\n', stderr);
	return CMD_OK;
}

/* ---- live ---- */

static bool
sends_for(const struct setup *s, struct str domain)
{
	for (size_t i = 0; i < s->world.config->domains.n; i++)
		if (domain_matches(domain, s->world.config->domains.v[i]))
			return true;
	return false;
}

static int
go_live(struct setup *s)
{
	struct buf missing = BUF(TEXT_MAX);
	int        code = CMD_OK;

	for (size_t i = 0; i < s->world.n_domains; i++)
		if (!sends_for(s, s->world.domains[i]))
			buf_addf(&missing, "%s%.*s", missing.n > 0 ? " " : "",
			         S(s->world.domains[i]));
	if (missing.n > 0) {
		s->changed = true;
		code = setup_file_change(s->path,
		                         &(struct setup_lines){.domains = buf_str(&missing)})
		               ? load_again(s)
		               : CMD_FAILED;
	}
	buf_free(&missing);
	s->live = code == CMD_OK;
	return code;
}

static void
reload(struct setup *s)
{
	struct buf said = BUF(TEXT_MAX);
	int        fd = s->changed ? daemon_connect(s->c) : -1;

	if (fd >= 0) {
		close(fd);
		if (daemon_ask(s->c, STR("reload"), &(struct daemon_hooks){0}, NULL, &said) !=
		    CMD_OK)
			cmd_error("reload", buf_z(&said), "see `postern check`");
	}
	buf_free(&said);
}

static void
count_row(void *arg, struct str row)
{
	(void)row;
	(*(uint64_t *)arg)++;
}

/* What capture mode kept waits for a word of the owner. */
static void
ask_about_held(struct setup *s)
{
	static const struct daemon_hooks hooks = {.row = count_row};
	struct buf                       said = BUF(TEXT_MAX);
	int                              fd = daemon_connect(s->c), answer;

	if (fd < 0)
		return;
	close(fd);
	if (daemon_ask(s->c, STR("queue list --status held"), &hooks, &s->held, &said) != CMD_OK)
		s->held = 0;
	if (s->held > 0 && (s->yes || s->c->json)) {
		say(s,
		    "%llu captured messages are held; `postern queue release --all` sends them.\n",
		    (unsigned long long)s->held);
	} else if (s->held > 0) {
		say(s, "%llu captured messages are held: release them? [y/N] ",
		    (unsigned long long)s->held);
		answer = getchar();
		if (answer == 'y' || answer == 'Y')
			(void)daemon_say(s->c, STR("queue release --all"));
	}
	buf_free(&said);
}

static const struct finding *
find_port25(const struct setup *s)
{
	struct finding *f;

	LIST_EACH(&s->world.exam.findings, f, struct finding, link)
		if (strcmp(f->id, "net.port25") == 0)
			return f;
	return NULL;
}

static void
print_json(struct setup *s)
{
	const struct finding *port25 = find_port25(s);
	struct buf            out = BUF(OUTPUT_MAX), list = BUF(OUTPUT_MAX);
	struct json           j = {.out = &out};

	json_open(&j, NULL, '{');
	json_str(&j, "hostname", exam_ehlo(&s->world.exam));
	json_str(&j, "config", str_of(s->path));
	json_bool(&j, "live", s->live);
	json_str(&j, "keys_made_for", buf_str(&s->made));
	json_int(&j, "visible", (int64_t)count_gates(s, true));
	json_int(&j, "wanted", (int64_t)count_gates(s, false));
	json_int(&j, "held", (int64_t)s->held);
	json_str(&j, "port25", str_of(port25 != NULL ? check_status_name(port25->status) : "skip"));
	records_print(&list, &s->records, FORMAT_JSON, false);
	/* a list of its own, made by the same writer */
	buf_addz(&out, ",\"records\":");
	buf_add(&out, str_sub(buf_str(&list), 0, list.n > 0 ? list.n - 1 : 0));
	json_close(&j, '}');
	puts(buf_z(&out));
	buf_free(&out);
	buf_free(&list);
}

static int
conclude(struct setup *s)
{
	const struct finding *port25;
	size_t                open;

	world_judge(&s->world);
	port25 = find_port25(s);
	if (port25 != NULL)
		say(s, "Port 25    %s%.*s\n", port25->status == CHECK_SKIP ? "not known: " : "",
		    S(buf_str(&port25->why))); /* our own words only */
	open = records_count(&s->records, RECORD_MISSING, false) +
	       records_count(&s->records, RECORD_DIFFERS, false);
	if (s->live)
		say(s, "Mode       live\n");
	else
		say(s,
		    "Mode       capture: mail is taken and held until the records are visible; then run this again\n");
	if (s->live && open > 0)
		say(s, "%zu record%s still to be published, see above and `postern doctor`.\n",
		    open, open == 1 ? " is" : "s are");
	if (s->live)
		ask_about_held(s);
	if (s->c->json)
		print_json(s);
	return s->live && open == 0 && (port25 == NULL || port25->status != CHECK_FAIL)
	               ? CMD_OK
	               : CMD_FAILED;
}

static int
run(struct setup *s, const char *hostname)
{
	struct config *config;
	int            code;

	if ((s->path = setup_file_path(s->c)) == NULL)
		return CMD_FAILED;
	if ((config = cmd_load(s->c)) == NULL)
		return CMD_CONFIG;
	if ((code = world_open(&s->world, config)) != CMD_OK ||
	    (code = set_host(s, hostname)) != CMD_OK || (code = make_keys(s)) != CMD_OK ||
	    (code = wait_for_records(s)) != CMD_OK)
		return code;
	if (all_visible(s) && (code = go_live(s)) != CMD_OK)
		return code;
	if (s->live)
		records_ask(&s->world, &s->records);
	reload(s);
	return conclude(s);
}

static int
read_options(struct setup *s, const char **hostname)
{
	const char *format = cmd_option(s->c, "format"), *word;
	int         code = world_options(&s->world, s->c);

	if (code != CMD_OK)
		return code;
	*hostname = cmd_option(s->c, "hostname");
	s->yes = cmd_flag(s->c, "yes");
	s->no_wait = cmd_flag(s->c, "no-wait");
	if (format != NULL && !record_format_parse(format, &s->format))
		return cmd_usage(s->c, "--format takes zone, panel, json or terraform");
	while ((word = cmd_word(s->c)) != NULL && word[0] != '-')
		if (!world_add_domain(&s->world, word))
			return cmd_usage(s->c, "that is no domain name");
	if (word != NULL)
		return cmd_usage(s->c, "that option is not known");
	if (s->world.n_domains == 0)
		return cmd_usage(s->c, "for which domain?");
	if (!s->yes && !isatty(STDIN_FILENO))
		return cmd_usage(
			s->c,
			"there is no terminal to ask on: say --yes, and --no-wait to not wait");
	return cmd_end(s->c) ? CMD_OK : CMD_USAGE;
}

int
cmd_setup(struct cmd *c)
{
	struct setup s = {.c = c};
	const char  *hostname = NULL;
	int          code;

	buf_init(&s.hostname, DOMAIN_MAX + 1);
	buf_init(&s.made, TEXT_MAX);
	code = read_options(&s, &hostname);
	if (code == CMD_OK)
		code = run(&s, hostname);
	records_free(&s.records);
	world_close(&s.world);
	buf_free(&s.hostname);
	buf_free(&s.made);
	return code;
}

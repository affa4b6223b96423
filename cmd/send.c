/* SPDX-License-Identifier: ISC */
/*
 * postern send --to A: a test mail, and what became of it.
 *
 * The mail takes the way of any other: SMTP to our own listener. The queue is
 * watched from before the submission on, so that no outcome is missed.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/daemon.h"
#include "cmd/submit.h"
#include "lib/mail/address.h"
#include "lib/mail/ids.h"
#include "lib/proc/config.h"
#include "lib/util/log.h"
#include "lib/util/time.h"

enum { WAIT_S = 120, CELL_LIMIT = 64 * 1024 };

struct trial {
	struct cmd    *c;
	struct config *config;
	struct addr    server;
	struct buf     from, to;
	struct buf     id;
	bool           done;
	int            code;
};

/* A listener that takes mail from this machine without TLS and login. */
static bool
find_listener(const struct config *c, struct addr *server)
{
	for (size_t i = 0; i < c->n_listens; i++) {
		const struct listen_conf *l = &c->listens[i];

		if (l->tls == LISTEN_TLS || l->tls_required || l->auth_required || l->n_proxy > 0)
			continue;
		*server = l->addr;
		if (addr_is_any(*server) &&
		    !addr_parse(server->family == 4 ? STR("127.0.0.1") : STR("::1"), server))
			return false;
		server->port = l->addr.port;
		return true;
	}
	return false;
}

/*
 * postmaster@ the first domain of ours that is no pattern. In capture mode anything goes that is a whole
 * name, which that of a fresh machine often is not.
 */
static void
default_sender(struct trial *t)
{
	struct str domain = t->config->hostname;

	if (config_is_capture(t->config) && str_find(domain, '.') < 0)
		domain = STR("example.com");
	for (size_t i = t->config->domains.n; i-- > 0;)
		if (str_find(t->config->domains.v[i], '*') < 0)
			domain = t->config->domains.v[i];
	buf_addz(&t->from, "postmaster@");
	buf_add(&t->from, domain);
}

static void
write_message(struct trial *t, struct buf *out)
{
	buf_addf(out, "From: <%s>\r\nTo: <%s>\r\nSubject: A test mail from postern\r\n", buf_z(&t->from), buf_z(&t->to));
	buf_addz(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
	              "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	              "Somebody ran `postern send` on ");
	buf_add(out, t->config->hostname);
	buf_addz(out, ".\r\nIf you can read this, mail from there arrives. Look at the header of this\r\n"
	              "message to see whether its DKIM signature and SPF were found good.\r\n");
}

static void
say(struct trial *t, const char *what, struct str text)
{
	struct buf row = BUF(CELL_LIMIT);

	if (!t->c->json) {
		printf("%-10s %.*s\n", what, (int)text.n, text.p);
		fflush(stdout);
		return;
	}
	buf_addf(&row, "ev=%s\ttext=%.*s", what, (int)text.n, text.p);
	daemon_json(buf_str(&row));
	buf_free(&row);
}

/* "250 2.0.0 queued as 7kq2m..." */
static void
find_id(struct trial *t, struct str reply)
{
	static const struct str mark = {"queued as ", 10};
	ptrdiff_t               at = str_find_str(reply, mark);

	if (at < 0)
		return;
	reply = str_skip(reply, (size_t)at + mark.n);
	buf_add(&t->id, str_word(&reply));
}

static void
hand_in(struct trial *t)
{
	struct buf message = BUF(CELL_LIMIT), reply = BUF(8192);
	bool       taken;

	write_message(t, &message);
	taken = submit(t->server, buf_str(&t->from), buf_str(&t->to), buf_str(&message), &reply);
	say(t, taken ? "accepted" : "refused", buf_str(&reply));
	find_id(t, buf_str(&reply));
	/* What is held goes nowhere: capture mode, or a pause that its sentence tells. */
	if (!taken || t->id.n == 0 || str_find_str(buf_str(&reply), STR("(held")) >= 0) {
		t->done = true;
		t->code = taken ? CMD_OK : CMD_FAILED;
	}
	buf_free(&message);
	buf_free(&reply);
}

static void
add_fact(struct buf *line, const char *before, struct str row, const char *key)
{
	struct buf value = BUF(CELL_LIMIT);

	if (daemon_cell(row, key, &value) && value.n > 0) {
		buf_addz(line, before);
		buf_add(line, buf_str(&value));
	}
	buf_free(&value);
}

static void
show_outcome(struct trial *t, const char *event, struct str row)
{
	struct buf line = BUF(CELL_LIMIT);

	if (t->c->json) {
		daemon_json(row);
		return;
	}
	add_fact(&line, "", row, "code");
	add_fact(&line, " ", row, "dsn");
	add_fact(&line, " ", row, "msg");
	add_fact(&line, "\n           host ", row, "mx");
	add_fact(&line, " ", row, "ip");
	add_fact(&line, ", TLS ", row, "tls");
	add_fact(&line, ", verified: ", row, "tlsv");
	add_fact(&line, "\n           signed: ", row, "dkim");
	add_fact(&line, "\n           because: ", row, "why");
	say(t, event, buf_str(&line));
	buf_free(&line);
}

static void
on_row(void *arg, struct str row)
{
	static const struct {
		const char *event;
		int         code;
	} ends[] = {{"delivered", CMD_OK}, {"deferred", CMD_TRY_AGAIN}, {"bounced", CMD_FAILED}, {"expired", CMD_FAILED}};
	struct trial *t = arg;
	struct buf    event = BUF(64), id = BUF(CELL_LIMIT);

	if (!daemon_cell(row, "ev", &event))
		goto out;
	if (str_eq(buf_str(&event), STR("watching"))) {
		hand_in(t);
		goto out;
	}
	if (!daemon_cell(row, "id", &id) || !str_eq(buf_str(&id), buf_str(&t->id)))
		goto out;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_eq(buf_str(&event), str_of(ends[i].event))) {
			show_outcome(t, ends[i].event, row);
			t->done = true;
			t->code = ends[i].code;
		}
out:
	buf_free(&event);
	buf_free(&id);
}

static bool
is_done(void *arg)
{
	return ((struct trial *)arg)->done;
}

/* Nothing to clean up: the connection ends with the process. */
static void
give_up(int signo UNUSED)
{
	static const char text[] = "no outcome yet; it stays in the queue: `postern queue list` shows it\n";

	(void)!write(STDERR_FILENO, text, sizeof text - 1);
	_exit(CMD_TRY_AGAIN);
}

static bool
read_words(struct trial *t)
{
	const char    *to = cmd_option(t->c, "to"), *from = cmd_option(t->c, "from"), *via = cmd_option(t->c, "via");
	struct address a;

	if (!cmd_end(t->c))
		return false;
	if (to == NULL || address_parse(str_of(to), &a) != ADDRESS_OK) {
		(void)cmd_usage(t->c, "--to wants an address, such as --to ann@example.net");
		return false;
	}
	if (from != NULL && *from != '\0' && address_parse(str_of(from), &a) != ADDRESS_OK) {
		(void)cmd_usage(t->c, "--from is not an address");
		return false;
	}
	if (via != NULL && !addr_parse_port(str_of(via), 25, &t->server)) {
		(void)cmd_usage(t->c, "--via wants an address and port, such as 127.0.0.1:2525");
		return false;
	}
	buf_addz(&t->to, to);
	if (from != NULL)
		buf_addz(&t->from, from);
	return true;
}

static int
try_it(struct trial *t)
{
	static const struct daemon_hooks hooks = {.row = on_row, .enough = is_done};
	struct buf                       request = BUF(64);
	int                              code;

	if (t->server.family == 0 && !find_listener(t->config, &t->server)) {
		cmd_error("send", "every listener wants TLS, a login or a PROXY header",
		          "--via ADDRESS:PORT names one that does not");
		return CMD_FAILED;
	}
	if (t->from.n == 0)
		default_sender(t);
	(void)signal(SIGALRM, give_up);
	(void)alarm(WAIT_S);
	buf_addz(&request, "queue watch");
	code = daemon_ask(t->c, buf_str(&request), &hooks, t, NULL);
	buf_free(&request);
	return code != CMD_OK ? code : t->code;
}

int
cmd_send(struct cmd *c)
{
	struct trial t = {.c = c, .code = CMD_FAILED, .from = BUF(512), .to = BUF(512), .id = BUF(64)};
	int          code = CMD_USAGE;

	if (read_words(&t))
		code = (t.config = cmd_load(c)) == NULL ? CMD_CONFIG : try_it(&t);
	config_unref(t.config);
	buf_free(&t.from);
	buf_free(&t.to);
	buf_free(&t.id);
	return code;
}

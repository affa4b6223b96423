/* SPDX-License-Identifier: ISC */
#include "cmd/trial.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cmd/file.h"
#include "dkim/key.h"
#include "dkim/sign.h"
#include "lib/mail/header.h"
#include "lib/mail/ids.h"
#include "lib/proc/config.h"
#include "lib/util/time.h"

enum {
	WHY_MAX = 4096,
	PIECE = 64 * 1024,
	ROOM = 1024 * 1024, /* for repairs, and for a file that is too large to be told so */
	FIELDS_MAX = 64 * 1024,
	SIGNATURE_MAX = 2048,
	REPORT_MAX = 1024 * 1024,
};

struct config *
trial_config(struct cmd *c)
{
	struct buf     report = BUF(REPORT_MAX);
	struct config *config = config_look(c->config_file, &report);

	if (config == NULL)
		fputs(buf_z(&report), stderr);
	buf_free(&report);
	return config;
}

/* The author, where the command line says nothing else: what most programs put into MAIL FROM. */
static void
guess_sender(struct trial *t)
{
	struct str     rest = buf_str(&t->file);
	struct field   field;
	struct address a;
	bool           bad = false;

	while (header_next(&rest, &field, &bad) && !bad) {
		if (!str_ieq(field.name, STR("From")))
			continue;
		if (header_mailbox(&field.value, &a, &bad) && a.domain.n > 0)
			address_format(&t->sender, a);
		return;
	}
}

static bool
take_sender(struct trial *t, const char *word)
{
	struct str     s = str_of(word);
	struct address a;

	if (word == NULL) {
		guess_sender(t);
		return true;
	}
	if (s.n == 0 || str_eq(s, STR("<>")))
		return true;
	if ((s.p[0] == '<' ? address_parse_path(&s, &a) : address_parse(s, &a)) != ADDRESS_OK)
		return false;
	address_format(&t->sender, a);
	return true;
}

/* A file of this machine may have its line ends; one in which a line ends with CR LF has the net's. */
static bool
has_local_ends(struct str s)
{
	ptrdiff_t lf = str_find(s, '\n');

	return lf == 0 || (lf > 0 && s.p[lf - 1] != '\r');
}

static void
keep_text(struct trial *t)
{
	struct message *m = t->message;
	ssize_t         n;

	if (m->fd < 0) {
		buf_add(&t->text, buf_str(&m->text));
		return;
	}
	do {
		char *room = buf_room(&t->text, PIECE);

		n = room != NULL ? pread(m->fd, room, PIECE, (off_t)t->text.n) : -1;
		buf_commit(&t->text, n > 0 ? (size_t)n : 0);
	} while (n > 0);
}

static void
read_message(struct trial *t)
{
	struct str      rest = buf_str(&t->file);
	struct message *m;
	struct ids      ids = {0};

	t->policy = (struct policy){.config = t->config,
	                            .client = {.family = 4, .ip = {127, 0, 0, 1}}};
	t->plan.policy = &t->policy;
	t->plan.received = STR("Received: by postern; a trial\r\n");
	t->plan.own_domain = policy_own_domain(t->config);
	t->plan.sender = buf_str(&t->sender);
	t->plan.id = ids_next(&ids);
	t->plan.now_ms = time_wall_ms();
	t->plan.says_eightbit = true;
	t->message = m = message_create(&t->messages, &t->plan, t->config->max_size);
	message_expect(m, DATA_COUNTED, has_local_ends(rest));
	while (rest.n > 0) {
		rest = str_skip(rest, message_feed(m, str_sub(rest, 0, PIECE)));
		if (message_wants_spill(m))
			message_spill(m, memfd_create("trial", MFD_CLOEXEC));
	}
	t->reply = message_finish(m);
	if (t->reply.code == 250)
		keep_text(t);
}

/* ---- signing ---- */

static bool
sign_with(struct trial *t, struct dkim_sign *sign, const struct dkim_key_conf *conf, size_t i)
{
	struct buf  signature = BUF(SIGNATURE_MAX);
	struct key *key;
	bool        ok;

	buf_addz(&t->unsigned_why, "the key ");
	buf_add(&t->unsigned_why, conf->path);
	buf_addc(&t->unsigned_why, ' ');
	if (conf->pem.n == 0) {
		buf_addz(&t->unsigned_why, "may not be read by this account");
		return false;
	}
	key = key_load(conf->pem, &t->unsigned_why);
	ok = key != NULL && key_sign(key, dkim_sign_digest(sign, i), &signature);
	if (key != NULL && !ok)
		buf_addz(&t->unsigned_why, "is refused by OpenSSL");
	if (ok) {
		dkim_sign_put(sign, i, buf_str(&signature));
		buf_clear(&t->unsigned_why);
	}
	key_destroy(key);
	buf_free(&signature);
	return ok;
}

static void
sign(struct trial *t)
{
	struct buf        hash = BUF(BODYHASH_TEXT);
	struct bodyhash  *h = bodyhash_create(dkim_body_canon(t->signs));
	struct str        head, body;
	struct dkim_sign *s;
	bool              ok;

	header_split(buf_str(&t->text), &head, &body);
	bodyhash_feed(h, body);
	bodyhash_finish_text(h, &hash);
	s = dkim_sign_start(head, t->signs, buf_str(&hash), t->plan.now_ms / 1000);
	ok = s != NULL;
	for (size_t i = 0; i < t->signs->n_keys && ok; i++)
		ok = sign_with(t, s, &t->signs->keys[i], i);
	if (ok && !dkim_sign_finish(s, &t->fields))
		buf_addz(&t->unsigned_why, "the signature is too long");
	dkim_sign_destroy(s);
	bodyhash_destroy(h);
	buf_free(&hash);
}

/* Why no key was found: there may be some that only the daemon's account sees. */
static void
tell_keyless(struct trial *t)
{
	struct buf folder = BUF(WHY_MAX);
	bool       folder_is_closed;

	buf_add(&folder, t->config->state);
	buf_addz(&folder, "/dkim");
	folder_is_closed = access(buf_z(&folder), R_OK | X_OK) != 0 && errno == EACCES;
	if (!t->config->dkim_sign)
		buf_addz(&t->unsigned_why, "dkim-sign is off");
	else if (folder_is_closed)
		buf_addf(&t->unsigned_why, "the keys in %s may not be read by this account",
		         buf_z(&folder));
	else
		buf_addz(&t->unsigned_why, "no key fits the domain in From");
	/* What cannot be seen is no finding. */
	if (folder_is_closed)
		t->message->fix.verdict.found &=
			~(LINT_BIT(LINT_FROM_NO_KEY) | LINT_BIT(LINT_UNSUBSCRIBE_UNSIGNED));
	buf_free(&folder);
}

int
trial_run(struct trial *t, struct cmd *c, const char *path, const char *from)
{
	struct buf why = BUF(WHY_MAX);
	int        code = CMD_OK;

	t->file = BUF(t->config->max_size + ROOM);
	t->text = BUF(2 * t->config->max_size + ROOM);
	t->sender = BUF(ADDRESS_MAX + 1);
	t->fields = BUF(FIELDS_MAX);
	t->unsigned_why = BUF(WHY_MAX);
	messages_init(&t->messages);
	if (!file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &t->file, &why)) {
		cmd_error(path, buf_z(&why), NULL);
		code = CMD_FAILED;
	} else if (!take_sender(t, from)) {
		code = cmd_usage(c, "--from takes an address");
	} else {
		read_message(t);
		t->signs = config_find_dkim(t->config, t->message->fix.header_from);
		if (t->signs == NULL)
			tell_keyless(t);
		else if (t->reply.code == 250)
			sign(t);
	}
	buf_free(&why);
	return code;
}

void
trial_free(struct trial *t)
{
	message_destroy(&t->messages, t->message);
	messages_free(&t->messages);
	buf_free(&t->file);
	buf_free(&t->text);
	buf_free(&t->sender);
	buf_free(&t->fields);
	buf_free(&t->unsigned_why);
	config_unref(t->config);
}

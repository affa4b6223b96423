/* SPDX-License-Identifier: ISC */
/*
 * postern lint: what a listener would find in a message, and whether its author, envelope and
 * signature agree.
 *
 * The message goes through the very code of the daemon's listeners; nothing is sent and no daemon is needed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/file.h"
#include "lib/mail/header.h"
#include "lib/mail/ids.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"
#include "lib/util/time.h"
#include "smtpd/message.h"
#include "smtpd/signing.h"

enum { TEXT_MAX = 4096, OUTPUT_MAX = 64 * 1024, PIECE = 64 * 1024, ROOM = 1024 * 1024 };

struct lint {
	struct cmd     *c;
	struct config  *config;
	struct policy   policy;
	struct fixup    plan;
	struct buf      file, sender, out;
	struct messages messages;
	struct message *message;
	struct reply    reply;
};

static const char *
action_word(const struct lint *l, enum lint_rule rule)
{
	static const char *const words[] = {
		[LINT_PASS] = "passed", [LINT_NOTE] = "note",       [LINT_WARN] = "warning",
		[LINT_FIX] = "repaired", [LINT_REJECT] = "refused",
	};
	/* What could not be repaired is refused, whatever the table says. */
	bool refused = l->message->fix.facts.noted >> rule & 1 || l->message->data.fault != DATA_FINE;
	enum lint_action action = lint_action(rule, l->plan.lint);

	return words[action == LINT_FIX && refused ? LINT_REJECT : action];
}

/* d= of the signature that there would be; empty: none. */
static struct str
signing_domain(const struct lint *l)
{
	const struct dkim_conf *d = signing_find(l->config, l->message->fix.header_from);

	return d != NULL ? d->domain : STR_NONE;
}

static struct str
sender_domain(const struct lint *l)
{
	ptrdiff_t at = str_rfind(l->plan.sender, '@');

	return at < 0 ? STR_NONE : str_skip(l->plan.sender, (size_t)at + 1);
}

static const char *
agreement(const struct lint *l, struct str domain)
{
	struct str author = l->message->fix.header_from;

	if (str_ieq(domain, author))
		return "the same domain";
	return lint_is_aligned(l->config, domain, author) ? "aligned, if DMARC is relaxed"
	                                                  : "not aligned";
}

static void
add_line(struct buf *out, const char *what, struct str value, const char *remark)
{
	buf_addf(out, "%-10s ", what);
	buf_add(out, value.n > 0 ? value : STR("-"));
	if (remark != NULL)
		buf_addf(out, " (%s)", remark);
	buf_addc(out, '\n');
}

static void
print_people(struct lint *l)
{
	uint64_t   found = l->message->fix.verdict.found;
	struct str d = signing_domain(l), sender = sender_domain(l);

	for (unsigned i = 0; i < LINT_RULES; i++)
		if (found >> i & 1)
			buf_addf(&l->out, "%-10s %-24s %s\n", action_word(l, (enum lint_rule)i),
			         lint_id((enum lint_rule)i), lint_sentence((enum lint_rule)i));
	if (found != 0)
		buf_addc(&l->out, '\n');
	add_line(&l->out, "From", l->message->fix.header_from, NULL);
	add_line(&l->out, "MAIL FROM", sender, sender.n > 0 ? agreement(l, sender) : "null sender: SPF goes by EHLO");
	add_line(&l->out, "DKIM d=", d, d.n > 0 ? agreement(l, d) : "unsigned");
	buf_addz(&l->out, l->reply.code == 250 ? "The message would be accepted.\n"
	                                       : "The message would be refused: ");
	if (l->reply.code != 250) {
		reply_format(&l->out, l->reply);
		buf_addc(&l->out, '\n');
	}
}

static void
print_json(struct lint *l)
{
	struct json j = {.out = &l->out};
	struct str  author = l->message->fix.header_from, d = signing_domain(l);

	json_open(&j, NULL, '{');
	json_open(&j, "findings", '[');
	for (unsigned i = 0; i < LINT_RULES; i++) {
		if ((l->message->fix.verdict.found >> i & 1) == 0)
			continue;
		json_open(&j, NULL, '{');
		json_str(&j, "rule", str_of(lint_id((enum lint_rule)i)));
		json_str(&j, "action", str_of(action_word(l, (enum lint_rule)i)));
		json_str(&j, "text", str_of(lint_sentence((enum lint_rule)i)));
		json_close(&j, '}');
	}
	json_close(&j, ']');
	json_str(&j, "author", author);
	json_str(&j, "mail_from", sender_domain(l));
	json_bool(&j, "mail_from_aligned", lint_is_aligned(l->config, sender_domain(l), author));
	json_str(&j, "dkim", d);
	json_bool(&j, "dkim_aligned", lint_is_aligned(l->config, d, author));
	json_bool(&j, "accepted", l->reply.code == 250);
	if (l->reply.code != 250) {
		struct buf text = BUF(TEXT_MAX);

		reply_format(&text, l->reply);
		json_str(&j, "reply", buf_str(&text));
		buf_free(&text);
	}
	json_close(&j, '}');
	buf_addc(&l->out, '\n');
}

/* The author, where the command line says nothing else: what most programs put into MAIL FROM. */
static void
guess_sender(struct lint *l)
{
	struct str     rest = buf_str(&l->file);
	struct field   field;
	struct address a;
	bool           bad = false;

	while (header_next(&rest, &field, &bad) && !bad) {
		if (!str_ieq(field.name, STR("From")))
			continue;
		if (header_mailbox(&field.value, &a, &bad) && a.domain.n > 0)
			address_format(&l->sender, a);
		return;
	}
}

static bool
take_sender(struct lint *l, const char *word)
{
	struct str     s = str_of(word);
	struct address a;

	if (word == NULL) {
		guess_sender(l);
		return true;
	}
	if (s.n == 0 || str_eq(s, STR("<>")))
		return true;
	if ((s.p[0] == '<' ? address_parse_path(&s, &a) : address_parse(s, &a)) != ADDRESS_OK)
		return false;
	address_format(&l->sender, a);
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
read_message(struct lint *l)
{
	struct str      rest = buf_str(&l->file);
	struct message *m;
	struct ids      ids = {0};

	l->policy = (struct policy){.config = l->config,
	                            .client = {.family = 4, .ip = {127, 0, 0, 1}}};
	l->plan.policy = &l->policy;
	l->plan.own_domain = policy_own_domain(l->config);
	l->plan.sender = buf_str(&l->sender);
	l->plan.id = ids_next(&ids);
	l->plan.now_ms = time_wall_ms();
	l->plan.says_eightbit = true;
	l->message = m = message_create(&l->messages, &l->plan, l->config->max_size);
	message_expect(m, DATA_COUNTED, has_local_ends(rest));
	while (rest.n > 0) {
		rest = str_skip(rest, message_feed(m, str_sub(rest, 0, PIECE)));
		if (message_wants_spill(m))
			message_spill(m, open("/dev/null", O_WRONLY | O_CLOEXEC));
	}
	l->reply = message_finish(m);
}

static bool
find_mode(const char *word, enum listen_lint *mode)
{
	static const char *const words[] = {"fix", "strict", "off"}; /* enum listen_lint */

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (word == NULL || strcmp(word, words[i]) == 0) {
			*mode = (enum listen_lint)i;
			return true;
		}
	}
	return false;
}

static int
lint_file(struct lint *l, const char *path, const char *from)
{
	struct buf why = BUF(TEXT_MAX);
	int        code = CMD_FAILED;

	l->file = BUF(l->config->max_size + ROOM);
	l->sender = BUF(ADDRESS_MAX + 1);
	l->out = BUF(OUTPUT_MAX);
	messages_init(&l->messages);
	if (!file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &l->file, &why)) {
		cmd_error(path, buf_z(&why), NULL);
	} else if (!take_sender(l, from)) {
		code = cmd_usage(l->c, "--from takes an address");
	} else {
		read_message(l);
		if (l->c->json)
			print_json(l);
		else
			print_people(l);
		fwrite(l->out.p, 1, l->out.n, stdout);
		code = l->reply.code == 250 ? CMD_OK : CMD_FAILED;
		message_destroy(&l->messages, l->message);
	}
	messages_free(&l->messages);
	buf_free(&l->file);
	buf_free(&l->sender);
	buf_free(&l->out);
	buf_free(&why);
	return code;
}

int
cmd_lint(struct cmd *c)
{
	struct lint l = {.c = c};
	const char *from = cmd_option(c, "from"), *mode = cmd_option(c, "listener");
	const char *path = cmd_word(c);
	int         code;

	if (path == NULL)
		return cmd_usage(c, "which file?");
	if (!cmd_end(c))
		return CMD_USAGE;
	if (!find_mode(mode, &l.plan.lint))
		return cmd_usage(c, "--listener takes fix, strict or off");
	if ((l.config = cmd_load(c)) == NULL)
		return CMD_CONFIG;
	code = lint_file(&l, path, from);
	config_unref(l.config);
	return code;
}

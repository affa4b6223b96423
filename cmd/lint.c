/* SPDX-License-Identifier: ISC */
/*
 * postern lint: what a listener would find in a message, whether its author, envelope and signature
 * agree, and the signature that it would get.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/trial.h"
#include "lib/proc/config.h"
#include "lib/util/json.h"

enum { TEXT_MAX = 4096, OUTPUT_MAX = 128 * 1024 };

struct lint {
	struct cmd  *c;
	struct trial trial;
	struct buf   out;
};

static const char *
action_word(const struct lint *l, enum lint_rule rule)
{
	static const char *const words[] = {
		[LINT_PASS] = "passed", [LINT_NOTE] = "note",       [LINT_WARN] = "warning",
		[LINT_FIX] = "repaired", [LINT_REJECT] = "refused",
	};
	/* What could not be repaired is refused, whatever the table says. */
	bool refused = l->trial.message->fix.facts.noted >> rule & 1 || l->trial.message->data.fault != DATA_FINE;
	enum lint_action action = lint_action(rule, l->trial.plan.lint);

	return words[action == LINT_FIX && refused ? LINT_REJECT : action];
}

/* d= of the signature that there would be; empty: none. */
static struct str
signing_domain(const struct lint *l)
{
	return l->trial.signs != NULL ? l->trial.signs->domain : STR_NONE;
}

static struct str
sender_domain(const struct lint *l)
{
	ptrdiff_t at = str_rfind(l->trial.plan.sender, '@');

	return at < 0 ? STR_NONE : str_skip(l->trial.plan.sender, (size_t)at + 1);
}

static const char *
agreement(const struct lint *l, struct str domain)
{
	struct str author = l->trial.message->fix.header_from;

	if (str_ieq(domain, author))
		return "the same domain";
	return lint_is_aligned(l->trial.config, domain, author) ? "aligned, if DMARC is relaxed"
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

/* As it would stand on top, in the line ends of this machine. */
static void
print_signature(struct lint *l)
{
	struct str rest = buf_str(&l->trial.fields), line;

	if (l->trial.signs == NULL)
		return;
	if (rest.n == 0)
		buf_addf(&l->out, "Its signature cannot be shown: %s.\n",
		         buf_z(&l->trial.unsigned_why));
	else
		buf_addz(&l->out, "It would be signed:\n\n");
	while (str_cut(&rest, '\n', &line)) {
		buf_add(&l->out, str_sub(line, 0, line.n - 1));
		buf_addc(&l->out, '\n');
	}
}

static void
print_people(struct lint *l)
{
	uint64_t   found = l->trial.message->fix.verdict.found;
	struct str d = signing_domain(l), sender = sender_domain(l);

	for (unsigned i = 0; i < LINT_RULES; i++)
		if (found >> i & 1)
			buf_addf(&l->out, "%-10s %-24s %s\n", action_word(l, (enum lint_rule)i),
			         lint_id((enum lint_rule)i), lint_sentence((enum lint_rule)i));
	if (found != 0)
		buf_addc(&l->out, '\n');
	add_line(&l->out, "From", l->trial.message->fix.header_from, NULL);
	add_line(&l->out, "MAIL FROM", sender, sender.n > 0 ? agreement(l, sender) : "null sender: SPF goes by EHLO");
	add_line(&l->out, "DKIM d=", d,
	         d.n > 0 ? agreement(l, d) : buf_z(&l->trial.unsigned_why));
	buf_addz(&l->out, l->trial.reply.code == 250 ? "The message would be accepted.\n"
	                                       : "The message would be refused: ");
	if (l->trial.reply.code != 250) {
		reply_format(&l->out, l->trial.reply);
		buf_addc(&l->out, '\n');
	} else {
		print_signature(l);
	}
}

static void
print_json(struct lint *l)
{
	struct json j = {.out = &l->out};
	struct str  author = l->trial.message->fix.header_from, d = signing_domain(l);

	json_open(&j, NULL, '{');
	json_open(&j, "findings", '[');
	for (unsigned i = 0; i < LINT_RULES; i++) {
		if ((l->trial.message->fix.verdict.found >> i & 1) == 0)
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
	json_bool(&j, "mail_from_aligned", lint_is_aligned(l->trial.config, sender_domain(l), author));
	json_str(&j, "dkim", d);
	json_bool(&j, "dkim_aligned", lint_is_aligned(l->trial.config, d, author));
	json_str(&j, "signature", buf_str(&l->trial.fields));
	json_str(&j, "unsigned_why", buf_str(&l->trial.unsigned_why));
	json_bool(&j, "accepted", l->trial.reply.code == 250);
	if (l->trial.reply.code != 250) {
		struct buf text = BUF(TEXT_MAX);

		reply_format(&text, l->trial.reply);
		json_str(&j, "reply", buf_str(&text));
		buf_free(&text);
	}
	json_close(&j, '}');
	buf_addc(&l->out, '\n');
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

int
cmd_lint(struct cmd *c)
{
	struct lint l = {.c = c, .out = BUF(OUTPUT_MAX)};
	const char *from = cmd_option(c, "from"), *mode = cmd_option(c, "listener");
	const char *path = cmd_word(c);
	int         code;

	if (path == NULL)
		return cmd_usage(c, "which file?");
	if (!cmd_end(c))
		return CMD_USAGE;
	if (!find_mode(mode, &l.trial.plan.lint))
		return cmd_usage(c, "--listener takes fix, strict or off");
	if ((l.trial.config = trial_config(c)) == NULL)
		return CMD_CONFIG;
	code = trial_run(&l.trial, c, path, from);
	if (code == CMD_OK) {
		if (c->json)
			print_json(&l);
		else
			print_people(&l);
		fwrite(l.out.p, 1, l.out.n, stdout);
		code = l.trial.reply.code == 250 ? CMD_OK : CMD_FAILED;
	}
	trial_free(&l.trial);
	buf_free(&l.out);
	return code;
}

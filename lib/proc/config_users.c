/* SPDX-License-Identifier: ISC */
/* config_users - where passwords are checked, and whether the users file has the right form. */
#include "lib/proc/config_private.h"
#include "lib/util/encode.h"

enum { LINE_MAX_OCTETS = 4096, KEY_OCTETS = 32, ITERATIONS_MAX = 10000000, PROBLEMS_SHOWN = 10 };

/* The next line with a user; false at the end. */
static bool
next_user(struct str *text, unsigned *number, struct str *line)
{
	while (str_cut(text, '\n', line)) {
		(*number)++;
		if (str_ends(*line, STR("\r")))
			line->n--;
		*line = str_trim(*line);
		if (line->n > 0 && line->p[0] != '#')
			return true;
	}
	return false;
}

static struct str
name_of(struct str line)
{
	ptrdiff_t colon = str_find(line, ':');

	return str_sub(line, 0, colon < 0 ? line.n : (size_t)colon);
}

static bool
is_base64(struct str text, size_t least, size_t most)
{
	struct buf b = BUF(LINE_MAX_OCTETS);
	bool       ok = base64_decode(&b, text) && b.n >= least && b.n <= most;

	buf_free(&b);
	return ok;
}

/* SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER, the form of RFC 5803 */
static const char *
judge(struct str line)
{
	struct str name = name_of(line), rest, piece;
	uint64_t   iterations;

	if (name.n == 0 || name.n == line.n)
		return "is not NAME:SCRAM-SHA-256$...";
	rest = str_skip(line, name.n + 1);
	if (line.n > LINE_MAX_OCTETS || !str_starts(rest, STR("SCRAM-SHA-256$")))
		return "holds no SCRAM-SHA-256 verifier";
	rest = str_skip(rest, 14);
	if (!str_cut(&rest, ':', &piece) || !str_number(piece, ITERATIONS_MAX, &iterations) ||
	    iterations == 0)
		return "has no number of iterations";
	if (!str_cut(&rest, '$', &piece) || !is_base64(piece, 1, 256))
		return "has a damaged salt";
	if (!str_cut(&rest, ':', &piece) || !is_base64(piece, KEY_OCTETS, KEY_OCTETS) ||
	    !is_base64(rest, KEY_OCTETS, KEY_OCTETS))
		return "has damaged keys";
	return NULL;
}

bool
conf_users_has(struct str text, struct str name)
{
	struct str line;
	unsigned   number = 0;

	while (next_user(&text, &number, &line))
		if (str_eq(name_of(line), name))
			return true;
	return false;
}

/* A damaged line would lock its user out without a word; better to say so while somebody looks. */
static void
check(struct maker *m, const struct word *w, struct str text)
{
	struct str line;
	unsigned   number = 0, shown = 0;

	while (next_user(&text, &number, &line) && shown < PROBLEMS_SHOWN) {
		const char *why = judge(line);

		if (why == NULL)
			continue;
		/* The line itself is a secret and not shown. */
		conf_problem(m, CONF_ERROR, w->at, "%.*s: line %u %s", S(w->text), number, why);
		conf_hint(m, "`postern user add NAME` writes such lines");
		shown++;
	}
}

static void
parse_users(struct maker *m, const struct row *row UNUSED, void *base UNUSED, struct word *words,
            size_t n)
{
	struct config *c = m->c;
	struct word    path = words[0];
	struct file    f;
	size_t         i = 1;

	path.text = c->users_path = conf_path(m, &words[0]);
	if (m->carried) {
		(void)conf_get_data(m, words, n, &i, &c->users_text);
		return;
	}
	if (n > 1)
		conf_problem(m, CONF_ERROR, words[1].at, "\"users\" takes one file");
	if (!conf_file(m, FILE_USERS, &path, &f))
		return;
	if (f.missing) {
		conf_problem(m, CONF_WARNING, words[0].at,
		             "%.*s is not there yet: nobody can log in", S(path.text));
		conf_hint(m, "`postern user add NAME` makes it");
	}
	c->users_text = f.text;
	check(m, &path, f.text);
}

static bool
format_users(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0 || c->users_path.n == 0)
		return false;
	conf_put_word(v->out, c->users_path);
	if (!v->show && (v->role == ROLE_AUTH || v->role == ROLE_SUPERVISOR))
		conf_put_data(v->out, c->users_text);
	return true;
}

/* pwcheck users | saslauthd PATH */
static void
parse_pwcheck(struct maker *m, const struct row *row UNUSED, void *base UNUSED, struct word *words,
              size_t n)
{
	static const char *const known[] = {"users", "saslauthd", NULL};
	const struct row         names = {.choices = known};
	const char              *near;

	if (str_eq(words[0].text, STR("saslauthd"))) {
		if (n == 2)
			m->c->saslauthd = conf_path(m, &words[1]);
		else
			conf_problem(m, CONF_ERROR, words[0].at,
			             "\"saslauthd\" needs the path of its socket");
		if (n != 2)
			conf_hint(m, "write pwcheck saslauthd /run/saslauthd/mux");
	} else if (!str_eq(words[0].text, STR("users"))) {
		conf_problem(m, CONF_ERROR, words[0].at,
		             "\"%.*s\" is not one of users or saslauthd", S(words[0].text));
		if ((near = conf_choice_nearest(&names, words[0].text)) != NULL)
			conf_hint(m, "did you mean \"%s\"?", near);
	} else if (n > 1) {
		conf_problem(m, CONF_ERROR, words[1].at, "\"pwcheck users\" takes nothing more");
	}
}

static bool
format_pwcheck(struct view *v, const struct row *row UNUSED, const void *base, size_t i)
{
	const struct config *c = base;

	if (i > 0)
		return false;
	buf_addz(v->out, c->saslauthd.n > 0 ? " saslauthd" : " users");
	if (c->saslauthd.n > 0)
		conf_put_word(v->out, c->saslauthd);
	return true;
}

const struct kind kind_users = {parse_users, format_users};
const struct kind kind_pwcheck = {parse_pwcheck, format_pwcheck};

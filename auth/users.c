/* SPDX-License-Identifier: ISC */
#include "auth/users.h"

#include <stdlib.h>
#include <string.h>

#include "auth/scram.h"
#include "lib/util/encode.h"
#include "lib/util/hash.h"
#include "lib/util/mem.h"
#include "lib/util/random.h"

struct user {
	struct hash_node node;
	struct str       name;
	struct str       verifier;
};

struct users {
	char        *text; /* everything below borrows from it */
	size_t       text_n;
	struct user *v;
	size_t       n;
	struct hash  by_name;
	uint8_t      unknown_key[SCRAM_KEY];
	struct buf   made_up;
};

static const struct str key_line = {"#unknown ", 9};

/* Without such a line the key comes from the file itself: secret, and stable until it changes. */
static void
set_unknown_key(struct users *u, struct str text)
{
	struct str line;

	while (str_cut(&text, '\n', &line)) {
		if (!str_starts(line, key_line))
			continue;
		if (scram_hmac(u->unknown_key, str_trim(str_skip(line, key_line.n)), STR("key")))
			return;
	}
	if (!scram_hmac(u->unknown_key, (struct str){u->text, u->text_n}, STR("key")))
		random_bytes(u->unknown_key, sizeof u->unknown_key);
}

static void
add(struct users *u, struct str line)
{
	struct user *user = &u->v[u->n];
	struct scram s;
	ptrdiff_t    colon;

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	line = str_trim(line);
	colon = str_find(line, ':');
	if (line.n == 0 || line.p[0] == '#' || colon <= 0 || colon > USER_NAME_MAX)
		return;
	user->name = str_sub(line, 0, (size_t)colon);
	user->verifier = str_skip(line, (size_t)colon + 1);
	if (!scram_parse(user->verifier, &s))
		return;
	hash_put(&u->by_name, &user->node, hash_str(user->name));
	u->n++;
}

struct users *
users_create(struct str text)
{
	struct users *u = mem_zero(sizeof *u);
	struct str    rest, line;
	size_t        lines = 1;

	u->text = mem_copy(text.p, text.n);
	u->text_n = text.n;
	buf_init(&u->made_up, 512);
	rest = (struct str){u->text, text.n};
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	u->v = mem_array(lines, sizeof *u->v);
	set_unknown_key(u, rest);
	while (str_cut(&rest, '\n', &line))
		add(u, line);
	return u;
}

void
users_destroy(struct users *u)
{
	if (u == NULL)
		return;
	mem_wipe(u->text, u->text_n);
	free(u->text);
	hash_free(&u->by_name);
	free(u->v);
	buf_free(&u->made_up);
	mem_wipe(u->unknown_key, sizeof u->unknown_key);
	free(u);
}

size_t
users_count(const struct users *u)
{
	return u->n;
}

/* A verifier that nobody has the password of: salt and keys from HMACs of the name. */
static struct str
make_up(struct users *u, struct str name)
{
	struct str   key = {(const char *)u->unknown_key, sizeof u->unknown_key};
	uint8_t      salt[SCRAM_KEY];
	struct scram s = {.iterations = SCRAM_ITERATIONS, .salt_n = SCRAM_SALT};

	if (!scram_hmac(salt, key, name))
		memset(salt, 0, sizeof salt);
	memcpy(s.salt, salt, SCRAM_SALT);
	random_bytes(s.stored_key, sizeof s.stored_key);
	random_bytes(s.server_key, sizeof s.server_key);
	buf_clear(&u->made_up);
	scram_format(&u->made_up, &s);
	return buf_str(&u->made_up);
}

struct str
users_verifier(struct users *u, struct str name, bool *known)
{
	for (struct hash_node *at = hash_first(&u->by_name, hash_str(name)); at != NULL;
	     at = hash_more(at)) {
		struct user *user = CONTAINER(at, struct user, node);

		if (str_eq(user->name, name)) {
			*known = true;
			return user->verifier;
		}
	}
	*known = false;
	return make_up(u, name);
}

void
users_new_key(struct buf *out)
{
	uint8_t key[SCRAM_KEY];

	random_bytes(key, sizeof key);
	base64_encode(out, (struct str){(const char *)key, sizeof key});
	mem_wipe(key, sizeof key);
}

/* SPDX-License-Identifier: ISC */
#include "auth/sasl.h"

#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdlib.h>
#include <string.h>

#include "auth/password.h"
#include "auth/users.h"
#include "lib/net/digest.h"
#include "lib/util/mem.h"

struct sasl {
	struct users     *users;
	struct passwords *passwords;
	char             *hostname;
	bool              saslauthd;
	sasl_callback_t   callbacks[6];
};

struct exchange {
	sasl_conn_t           *conn;
	struct sasl           *sasl;
	bool                   unavailable; /* the password could not be checked */
	bool                   asks_name;   /* LOGIN: the next response is the name */
	sasl_callback_t        checkpass[2];
	char                   binding[64];
	sasl_channel_binding_t cb;
};

/* SCRAM needs a verifier, and saslauthd gives none. */
static const struct {
	const char *users_plain, *users_tls, *saslauthd;
} offers = {
	"SCRAM-SHA-256 PLAIN LOGIN",
	"SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN",
	"PLAIN LOGIN",
};

static const char *const needed[] = {"PLAIN", "LOGIN", "SCRAM-SHA-256"};

/* libsasl2 calls plugin initialisers without an argument of ours: its one door to the open library. */
static struct sasl *the_sasl;

static int
get_option(void *context UNUSED, const char *plugin UNUSED, const char *option, const char **result,
           unsigned *len)
{
	static const struct {
		const char *option, *value;
	} options[] = {
		{"pwcheck_method", "auxprop"},
		{"auxprop_plugin", "postern"},
		{"mech_list", "PLAIN LOGIN SCRAM-SHA-256"},
		{"log_level", "0"},
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(option, options[i].option) != 0)
			continue;
		*result = options[i].value;
		if (len != NULL)
			*len = (unsigned)strlen(options[i].value);
		return SASL_OK;
	}
	return SASL_FAIL;
}

/* An empty folder list: no /etc/sasl2, no /usr/lib/sasl2/smtp.conf. */
static int
get_conf_path(void *context UNUSED, char **path)
{
	static char nowhere[] = "/nonexistent"; /* the library keeps it and never frees it */

	*path = nowhere;
	return SASL_OK;
}

static int
log_nothing(void *context UNUSED, int level UNUSED, const char *message UNUSED)
{
	return SASL_OK; /* smtpd logs each failure once, with the client's address */
}

/* Names stay as typed: the default would append a realm. */
static int
canon_user(sasl_conn_t *conn UNUSED, void *context UNUSED, const char *in, unsigned in_n,
           unsigned flags UNUSED, const char *realm UNUSED, char *out, unsigned out_max,
           unsigned *out_n)
{
	if (in_n >= out_max)
		return SASL_BUFOVER;
	memmove(out, in, in_n);
	out[in_n] = '\0';
	*out_n = in_n;
	return SASL_OK;
}

/* Nobody may act for somebody else. */
static int
proxy_policy(sasl_conn_t *conn UNUSED, void *context UNUSED, const char *requested, unsigned rlen,
             const char *identity, unsigned alen, const char *realm UNUSED, unsigned urlen UNUSED,
             struct propctx *props UNUSED)
{
	return rlen == alen && memcmp(requested, identity, rlen) == 0 ? SASL_OK : SASL_BADAUTH;
}

static int
check_password(sasl_conn_t *conn UNUSED, void *context, const char *user, const char *pass,
               unsigned pass_n, struct propctx *props UNUSED)
{
	struct exchange *x = context;

	switch (password_check(x->sasl->passwords, str_of(user), (struct str){pass, pass_n})) {
	case PASSWORD_OK:
		return SASL_OK;
	case PASSWORD_UNAVAILABLE:
		x->unavailable = true;
		return SASL_UNAVAIL;
	case PASSWORD_WRONG:
		break;
	}
	return SASL_BADAUTH;
}

/* The verifier for SCRAM: asked for as "*authPassword" (RFC 5803). */
static int
look_up(void *glob UNUSED, sasl_server_params_t *params, unsigned flags, const char *user,
        unsigned user_n)
{
	const struct propval *ask = params->utils->prop_get(params->propctx);
	bool                  authzid = (flags & SASL_AUXPROP_AUTHZID) != 0;
	struct str            verifier;
	bool                  known;

	if (ask == NULL || the_sasl == NULL || the_sasl->users == NULL || the_sasl->saslauthd)
		return SASL_NOUSER;
	verifier = users_verifier(the_sasl->users, (struct str){user, user_n}, &known);
	for (; ask->name != NULL; ask++) {
		const char *name = ask->name[0] == '*' ? ask->name + 1 : ask->name;

		if ((ask->name[0] == '*') == authzid || strcmp(name, "authPassword") != 0)
			continue;
		if (ask->values != NULL && (flags & SASL_AUXPROP_OVERRIDE) == 0)
			continue;
		if (ask->values != NULL)
			params->utils->prop_erase(params->propctx, ask->name);
		params->utils->prop_set(params->propctx, ask->name, verifier.p, (int)verifier.n);
	}
	return SASL_OK;
}

static int
init_plugin(const sasl_utils_t *utils UNUSED, int max_version, int *version,
            sasl_auxprop_plug_t **plugin, const char *name UNUSED)
{
	static char                plugin_name[] = "postern";
	static sasl_auxprop_plug_t ours = {.auxprop_lookup = look_up, .name = plugin_name};

	if (max_version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*version = SASL_AUXPROP_PLUG_VERSION;
	*plugin = &ours;
	return SASL_OK;
}

static sasl_callback_t
callback(unsigned long id, int (*fn)(void), void *context)
{
	return (sasl_callback_t){id, fn, context};
}

/* libsasl2's callback table wants one function type; each is called with its own by its id. */
#define FN(f) ((int (*)(void))(void (*)(void))(f))

static bool
has_mechanism(const char *name)
{
	const char **list = sasl_global_listmech();

	for (; list != NULL && *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

struct sasl *
sasl_open(struct buf *why)
{
	struct sasl *s = mem_zero(sizeof *s);

	s->callbacks[0] = callback(SASL_CB_GETOPT, FN(get_option), NULL);
	s->callbacks[1] = callback(SASL_CB_GETCONFPATH, FN(get_conf_path), NULL);
	s->callbacks[2] = callback(SASL_CB_LOG, FN(log_nothing), NULL);
	s->callbacks[3] = callback(SASL_CB_CANON_USER, FN(canon_user), NULL);
	s->callbacks[4] = callback(SASL_CB_PROXY_POLICY, FN(proxy_policy), NULL);
	s->callbacks[5] = callback(SASL_CB_LIST_END, NULL, NULL);
	the_sasl = s;
	if (sasl_auxprop_add_plugin("postern", init_plugin) != SASL_OK ||
	    sasl_server_init(s->callbacks, "postern") != SASL_OK) {
		buf_addz(why, "libsasl2 does not start");
		goto fail;
	}
	for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
		if (has_mechanism(needed[i]))
			continue;
		buf_addf(why,
		         "the SASL mechanism %s is missing: install the package libsasl2-modules",
		         needed[i]);
		goto fail;
	}
	return s;
fail:
	the_sasl = NULL;
	free(s);
	return NULL;
}

void
sasl_configure(struct sasl *s, struct str hostname, struct str users_text, struct str saslauthd)
{
	passwords_destroy(s->passwords);
	users_destroy(s->users);
	free(s->hostname);
	s->hostname = str_dup(hostname);
	s->users = users_create(users_text);
	s->saslauthd = saslauthd.n > 0;
	s->passwords = passwords_create(s->users, saslauthd);
}

struct str
sasl_mechanisms(const struct sasl *s, bool tls)
{
	if (s->saslauthd)
		return str_of(offers.saslauthd);
	if (s->users == NULL || users_count(s->users) == 0)
		return STR_NONE;
	return str_of(tls ? offers.users_tls : offers.users_plain);
}

static bool
set_properties(struct exchange *x, unsigned tls_bits, struct str binding)
{
	sasl_security_properties_t security = {.security_flags = SASL_SEC_NOANONYMOUS};
	sasl_ssf_t                 bits = tls_bits;

	if (sasl_setprop(x->conn, SASL_SEC_PROPS, &security) != SASL_OK ||
	    (bits > 0 && sasl_setprop(x->conn, SASL_SSF_EXTERNAL, &bits) != SASL_OK))
		return false;
	if (binding.n == 0 || binding.n > sizeof x->binding)
		return true;
	memcpy(x->binding, binding.p, binding.n);
	x->cb = (sasl_channel_binding_t){.name = "tls-exporter",
	                                 .len = binding.n,
	                                 .data = (const unsigned char *)x->binding};
	return sasl_setprop(x->conn, SASL_CHANNEL_BINDING, &x->cb) == SASL_OK;
}

struct exchange *
exchange_create(struct sasl *s, unsigned tls_bits, struct str binding)
{
	struct exchange *x = mem_zero(sizeof *x);
	const char      *list;

	digest_prepare(); /* SCRAM's plugin does digests of its own */
	x->sasl = s;
	x->checkpass[0] = callback(SASL_CB_SERVER_USERDB_CHECKPASS, FN(check_password), x);
	x->checkpass[1] = callback(SASL_CB_LIST_END, NULL, NULL);
	if (sasl_server_new("smtp", s->hostname, NULL, NULL, NULL, x->checkpass, 0, &x->conn) !=
	    SASL_OK)
		x->conn = NULL;
	else if (
		!set_properties(x, tls_bits, binding) ||
		/* Listing makes the library know that PLUS was on offer (downgrade, RFC 5802 section 6). */
		sasl_listmech(x->conn, NULL, "", " ", "", &list, NULL, NULL) != SASL_OK)
		sasl_dispose(&x->conn);
	return x;
}

static enum exchange_state
outcome(struct exchange *x, int result)
{
	if (x->unavailable)
		return EXCHANGE_UNAVAILABLE;
	switch (result) {
	case SASL_OK:
		return EXCHANGE_OK;
	case SASL_CONTINUE:
		return EXCHANGE_MORE;
	case SASL_NOMECH:
		return EXCHANGE_BAD_MECH;
	case SASL_BADPROT:
		return EXCHANGE_MALFORMED;
	case SASL_TRYAGAIN:
	case SASL_UNAVAIL:
	case SASL_NOMEM:
		return EXCHANGE_UNAVAILABLE;
	default:
		return EXCHANGE_FAILED;
	}
}

static bool
is_offered(const struct sasl *s, struct str mech)
{
	struct str rest = sasl_mechanisms(s, true), word;

	while ((word = str_word(&rest)).n > 0)
		if (str_ieq(word, mech))
			return true;
	return false;
}

/*
 * LOGIN's plugin loses the memory of the password when the library then finds that the name is none:
 * empty, blank or too long. So such a name never gets there.
 */
static bool
is_name(struct str s)
{
	ptrdiff_t nul = str_find(s, '\0');
	size_t    blanks = 0;

	s = str_sub(s, 0, nul >= 0 ? (size_t)nul : s.n);
	while (blanks < s.n && str_find(STR(" \t\n\v\f\r"), s.p[blanks]) >= 0)
		blanks++;
	return blanks < s.n && s.n <= USER_NAME_MAX;
}

enum exchange_state
exchange_start(struct exchange *x, struct str mech, const struct str *initial,
               struct str *challenge)
{
	const char *out = NULL;
	unsigned    out_n = 0;
	char       *name;
	int         r;

	if (x->conn == NULL)
		return EXCHANGE_UNAVAILABLE;
	if (!is_offered(x->sasl, mech))
		return EXCHANGE_BAD_MECH;
	name = str_dup(mech);
	r = sasl_server_start(x->conn, name,
	                      initial != NULL ? (initial->n > 0 ? initial->p : "") : NULL,
	                      initial != NULL ? (unsigned)initial->n : 0, &out, &out_n);
	free(name);
	*challenge = (struct str){out, out_n};
	x->asks_name = str_ieq(mech, STR("LOGIN"));
	return outcome(x, r);
}

enum exchange_state
exchange_step(struct exchange *x, struct str response, struct str *challenge)
{
	const char *out = NULL;
	unsigned    out_n = 0;
	int         r;

	if (x->asks_name && !is_name(response))
		return EXCHANGE_FAILED;
	x->asks_name = false;
	r = sasl_server_step(x->conn, response.n > 0 ? response.p : "", (unsigned)response.n, &out,
	                     &out_n);
	*challenge = (struct str){out, out_n};
	return outcome(x, r);
}

struct str
exchange_login(struct exchange *x)
{
	const void *name = NULL;

	if (sasl_getprop(x->conn, SASL_USERNAME, &name) != SASL_OK)
		return STR_NONE;
	return str_of(name);
}

void
exchange_destroy(struct exchange *x)
{
	if (x == NULL)
		return;
	if (x->conn != NULL)
		sasl_dispose(&x->conn);
	free(x);
}

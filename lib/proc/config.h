/* SPDX-License-Identifier: ISC */
/*
 * config - one immutable struct, made from file, environment and defaults.
 *
 * One table of directives (config_table.c) drives parser, environment,
 * rendering and documentation. A new configuration is parsed and checked whole
 * before anything changes; it is counted, and ends with its last user.
 */
#ifndef LIB_PROC_CONFIG_H
#define LIB_PROC_CONFIG_H

#include "lib/net/addr.h"
#include "lib/proc/wire.h"

/* Where a value came from: "/etc/postern/postern.conf:7", "env POSTERN_TRUST", "default". */
struct origin {
	const char *file; /* NULL: default */
	unsigned    line, column;
	const char *text; /* the directive as written, one line: what a reply or `explain` quotes */
};

struct strs {
	struct str *v; /* each also NUL-terminated */
	size_t      n;
};

enum listen_tls { LISTEN_PLAIN, LISTEN_STARTTLS, LISTEN_TLS };

/* What becomes of messages that receivers would hold against us: smtpd/lint.h. */
enum listen_lint { LISTEN_LINT_FIX, LISTEN_LINT_STRICT, LISTEN_LINT_OFF };

/* Whose name and address go into Received: everybody's, all but logins', nobody's. */
enum received_client { RECEIVED_SHORT, RECEIVED_FULL, RECEIVED_NONE };

struct listen_conf {
	struct addr     addr;
	enum listen_tls tls;
	bool            auth, tls_required, auth_required;
	enum listen_lint lint;
	struct cidr    *proxy; /* PROXY header is demanded from these, refused from others */
	size_t          n_proxy;
	struct origin   origin;
};

struct tls_conf { /* contents, not paths: roles have no files */
	struct str    cert_path, key_path;
	struct str    cert_pem, key_pem;
	struct origin origin;
};

/* So many in so much time; count 0: no limit. */
struct rate_conf {
	uint64_t count;
	int64_t  per_ms;
};

struct trust_conf {
	struct cidr   net;
	struct strs   from; /* patterns; empty: whatever `domains` allows */
	struct rate_conf rate, quota; /* recipients: over `rate` they wait, over `quota` they are refused */
	struct origin origin;
};

struct user_conf {
	struct str    name; /* "*": each login without a block of its own */
	struct strs   from; /* patterns; empty: whatever `domains` allows */
	struct rate_conf rate, quota; /* as of a network */
	struct origin origin;
};

enum key_type { KEY_UNKNOWN, KEY_RSA, KEY_ED25519 };

struct dkim_key_conf {
	struct str    selector, path;
	enum key_type type;
	struct str    pem; /* keyd and supervisor only */
	struct str    half; /* the public one as p= of its record has it; delivery and doctor */
	int64_t       made_ms; /* when its file was written, wall clock; supervisor and doctor, else 0 */
};

struct dkim_conf {
	struct str            domain; /* canonical */
	struct dkim_key_conf *keys;
	size_t                n_keys;
	bool                  simple_header, simple_body;
	bool                  go_unsigned; /* while no key is published, instead of waiting */
	struct origin         origin;
};

enum route_tls { ROUTE_OPPORTUNISTIC, ROUTE_STARTTLS, ROUTE_TLS }; /* the last two verify */

struct route_conf {
	struct str     domain; /* canonical, or "*" */
	struct str     host;   /* empty: direct MX (an exception from "*") */
	uint16_t       port;
	enum route_tls tls;
	struct str     user, password; /* password: delivery only */
	bool           xoauth2;        /* password is a bearer token */
	struct origin  origin;
};

/* AUTO: only while its PTR and SPF checks pass. */
enum outbound_ipv6 { IPV6_OFF, IPV6_ON, IPV6_AUTO };

/* What a failing check of the doctor does to mail: nothing but a word, it waits, no checks are made. */
enum preflight { PREFLIGHT_ADVISE, PREFLIGHT_ENFORCE, PREFLIGHT_OFF };

struct outbound_conf {
	uint16_t    port;
	int64_t     connect_timeout_ms, greeting_timeout_ms;
	struct addr bind4, bind6; /* family 0: any */
	struct addr public4, public6; /* what the world sees instead, behind NAT; family 0: the same */
	struct str  helo;         /* empty: hostname */
	int         ipv6;         /* enum outbound_ipv6 */
	bool        private_mx;   /* allow loopback, link-local and private MX hosts */
	struct str  ca_pem;       /* replaces the system's trust anchors if set */
	struct str  ca_path;
};

enum resolver_kind { RESOLVER_SYSTEM, RESOLVER_RECURSIVE, RESOLVER_SERVERS };

struct config {
	unsigned users;      /* reference count */
	unsigned generation;

	struct str  hostname;
	struct strs domains; /* patterns, canonical; none: capture mode */
	struct origin domains_origin, hostname_origin, trust_origin;

	struct listen_conf *listens;  size_t n_listens;
	struct tls_conf    *tls;      size_t n_tls;
	struct trust_conf  *trusts;   size_t n_trusts;
	struct user_conf   *user;     size_t n_user;
	struct dkim_conf   *dkim;     size_t n_dkim;
	struct route_conf  *routes;   size_t n_routes;

	struct str users_path, users_text; /* text: auth only */
	struct str saslauthd;              /* socket path; empty: the users file */

	bool       dkim_sign;
	struct str dkim_selector; /* of new keys, with %h, %Y, %m, %d */
	struct str spool, state, control;

	enum resolver_kind resolver;
	struct addr       *resolvers; size_t n_resolvers;
	int                dnssec; /* enum dns_dnssec */

	struct outbound_conf outbound;
	int                  preflight; /* enum preflight */

	int64_t *retry_ms; size_t n_retry;
	int64_t  expire_ms;
	int64_t  delay_notice_ms;
	uint64_t memory; /* octets for what grows with mail and peers: of all roles; in a role what one process of it may use */
	uint64_t max_size;
	unsigned max_recipients;
	int64_t  idle_timeout_ms;
	int      received_client;     /* enum received_client */
	unsigned limit_connections;   /* of one client or login at a time; this and the next two: 0 is none */
	unsigned limit_commands;      /* that send no mail, one after the other */
	unsigned bulk_after;          /* messages an hour of one sender from which on they are mail to many; 0: never */
	unsigned limit_auth_failures; /* of one client, until an hour has passed without one */
	bool     log_json, debug;
	struct str user_account;
	unsigned smtpd_count, delivery_count, auth_count; /* 0 in the file: by the cores */
};

/*
 * Append the selector of keys that are made now, in canonical form. False if the template and this
 * host's name make none.
 */
bool config_selector(const struct config *c, int64_t now_ms, struct buf *out) MUST_USE;

/* How many processes a role has (keyd follows delivery: the supervisor knows). */
unsigned config_processes(const struct config *c, enum role_id id);

bool config_is_capture(const struct config *c); /* no domains: hold everything */
bool config_has_logins(const struct config *c); /* somebody could log in: auth is needed */

/*
 * Whose keys sign mail of an author in this canonical domain: that of the domain itself, or else of its
 * nearest parent that has some (aligned for DMARC in the relaxed way, RFC 7489 section 3.1.1). NULL: nobody's,
 * or `dkim-sign off`. Lives as long as `c`.
 */
const struct dkim_conf *config_find_dkim(const struct config *c, struct str domain);

/*
 * Read file (NULL: /etc/postern/postern.conf if it is there, otherwise none), environment and
 * defaults. NULL if there is any error; errors and warnings are all in
 * `report`, ready to print: file:line:column, the line, a caret, the cause and a suggestion.
 * `n_errors` and `n_warnings` may be NULL. Reads certificates, keys, users and secrets too.
 */
struct config *config_load(const char *file, struct buf *report, unsigned *n_errors, unsigned *n_warnings);

/*
 * The same for who looks without the daemon's rights: a file that he may not read is a warning,
 * and its content stays empty.
 */
struct config *config_look(const char *file, struct buf *report);

/*
 * The files that `c` names have changed on disk: a copy with the new contents,
 * or NULL if nothing has changed, or (with a `report`) if they are not usable.
 */
struct config *config_refresh(const struct config *c, struct buf *report);

struct config *config_ref(struct config *c);
void           config_unref(struct config *c); /* NULL is allowed */

/*
 * Text that carries what `role` may see, contents of files included, and its
 * way back. The supervisor renders, the role reads; both ends are this code.
 */
void           config_render(const struct config *c, enum role_id role, struct buf *out);

/*
 * What keyd may see, and for each private key that was forgotten (below) whether its file could be used
 * again: `told` hears its path, and what is wrong or NULL, while this runs.
 */
typedef void key_file_fn(void *arg, struct str path, const char *why);
void           config_render_keyd(const struct config *c, struct buf *out, key_file_fn *told, void *arg);

struct config *config_read(struct str rendered, unsigned generation);

/*
 * Private keys (DKIM, certificates) leave the memory of this process: the texts are wiped, and config_render()
 * for keyd reads the files again. One that is no longer usable then is rendered empty.
 */
void config_forget_keys(struct config *c);

/* One line about a directive, and the names of all of them in the order of the table; NULL if there is none. */
const char *config_help(const char *name);
const char *config_directive(size_t i);
bool        config_needs_restart(const char *name); /* a reload leaves it as it was */

/* Rows for `postern config show`: name, effective value (secrets as ***; empty: not set), origin. */
void config_show(const struct config *c, void (*row)(void *arg, const char *name, struct str value, struct str origin), void *arg);

#endif

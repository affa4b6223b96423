/* SPDX-License-Identifier: ISC */
/*
 * keyd - the role that alone holds the private keys: those of DKIM and those of certificates.
 *
 * It answers SIGN with SIGNED and TLS_SIGN with TLS_SIGNED and does nothing else: no
 * file, no network, no mail. What it is to sign it reads first (warrant.h, lib/net/tls_key.h):
 * whoever breaks into another role can have signed, while he is there, what that role
 * would have signed anyway, and takes no key away.
 */
#ifndef DKIM_KEYD_H
#define DKIM_KEYD_H

/* The exit code of the process. */
int keyd_main(unsigned index);

#endif

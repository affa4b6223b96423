/* SPDX-License-Identifier: ISC */
/*
 * keyd - the role that alone holds the private keys.
 *
 * It answers SIGN with SIGNED and does nothing else: no file, no network, no mail.
 * Whoever breaks into another role can have digests signed while he is
 * there, but takes no key away.
 */
#ifndef DKIM_KEYD_H
#define DKIM_KEYD_H

/* The exit code of the process. */
int keyd_main(unsigned index);

#endif

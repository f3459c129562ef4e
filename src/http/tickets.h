/* http/tickets.h: the keys that seal TLS session tickets (RFC 5077, RFC 8446 section 4.6.1): others each day of UTC.
 *
 * Those of TLS 1.3 are derived (HKDF) from the text of the TLS key's file and the day. So instances with the same file
 * resume each other's sessions, and share no further secret for it. Whoever has that file can open these tickets, but
 * nothing that was sent: to resume takes a new key exchange (psk_dhe_ke), and there is no early data; to pass for the
 * server, the file is enough anyway.
 *
 * A ticket of TLS 1.2 holds the master secret of what was sent, so a key that can be derived again later would undo
 * forward secrecy (RFC 9325 section 3.4). Its keys are random and this process's own, and gone when they are wiped. */
#ifndef HTTP_TICKETS_H
#define HTTP_TICKETS_H

#include "base/mem.h"
#include <openssl/ssl.h>

enum {
    TICKET_LIFE_S = 2 * 3600,   /* how long a session can be resumed */
    TICKETS_AHEAD_S = 2 * 3600, /* how long before its day a key opens tickets: of instances whose clock is ahead */
    TICKET_NAME_LEN = 16,
    TICKET_KEY_LEN = 32,
};

struct tickets;

struct ticket_key {
    unsigned char name[TICKET_NAME_LEN]; /* stands before the ticket in clear */
    unsigned char cipher[TICKET_KEY_LEN], mac[TICKET_KEY_LEN];
};

/* All keys lie in locked memory. Thread-safe from here on. */
MUST_USE struct err tickets_open(struct tickets **out);
void tickets_close(struct tickets *tickets); /* wipes all; NULL allowed */
/* Derives from this secret from now on. When it is another one, what was sealed before is not opened any more. */
MUST_USE struct err tickets_share(struct tickets *tickets, struct str secret);
/* Has the context seal and open by these keys, which must outlive it. False: this OpenSSL can't. */
bool tickets_use(struct tickets *tickets, SSL_CTX *context);
/* Makes the keys that are due and wipes those whose time is over; to be called now and then. Each use does the same. */
void tickets_look(struct tickets *tickets, int64_t now_s);

/* The key that seals at that time, of TLS 1.3 (`is_shared`) or 1.2; and the one of that name, if it may open then. A
 * copy, which the caller wipes. False: there is none. */
bool tickets_to_seal(struct tickets *tickets, bool is_shared, int64_t now_s, struct ticket_key *out);
bool tickets_to_open(struct tickets *tickets, bool is_shared, int64_t now_s, const unsigned char name[TICKET_NAME_LEN],
                     struct ticket_key *out);

#endif

/* oauth/oauth.h: what the room keeps between requests. app.c opens it after the service, before the first request. */
#ifndef OAUTH_OAUTH_H
#define OAUTH_OAUTH_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct client_keys;
struct failures;
struct fetch;
struct settings;
struct messenger;
struct password_login;
struct service;

struct oauth {
    struct fetch *fetch;                   /* calls to URLs that clients name */
    struct client_keys *client_keys;       /* the keys that clients sign with */
    struct password_login *password_login; /* of the built-in login; NULL: there is none */
    struct failures *login_requests;       /* new login requests by address (service/failures.h) */
    atomic_uint sectors;                   /* how many are being fetched (sector.h) */
    atomic_ullong notices_begin;           /* where the next round of logouts begins (backchannel.c) */
    struct messenger *messenger;           /* tells clients of logouts (messenger.h); NULL: nobody does */
};

/* What the authentication context of the built-in login is called: a password, and no more. */
#define BUILTIN_ACR "1"

/* Makes it, as the settings say, and gives it to the service. Also after an error *out is to be closed. */
MUST_USE struct err oauth_open(struct service *service, struct oauth **out);
/* Whether what calls to URLs that clients name need can be had, as oauth_open() wants it; nothing stays open. */
MUST_USE struct err oauth_try_fetch(const struct settings *settings);
/* Starts what goes on by itself, on a thread. ERR_INTERNAL. */
MUST_USE struct err oauth_start(struct service *service);
/* For a process without it, which is frozen between calls: does on the caller's thread what is due; after `until_ns`
 * (clock_ns()) nothing more is begun. True: something may still be due. Thread-safe. */
bool oauth_round_now(struct service *service, int64_t until_ns);
void oauth_close(struct oauth *oauth); /* NULL allowed */

#endif

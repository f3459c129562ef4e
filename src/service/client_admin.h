/* service/client_admin.h: clients as an administrator sees and changes them, whichever front asks. What a change says
 * is durable when it returns. This process acts on it at once; others see it within seconds, or after
 * TOKEN_CLIENT_CACHE_TTL at most, where they share a database. Everything here may wait for the store, and passes
 * ERR_UNAVAILABLE on. Only service->store must be there. */
#ifndef SERVICE_CLIENT_ADMIN_H
#define SERVICE_CLIENT_ADMIN_H

#include "base/mem.h"

struct service;

/* All of a client but its secret. */
struct client_entry {
    struct str id, name;
    struct str scopes;                             /* space-separated */
    int64_t access_ttl_s, refresh_ttl_s, id_ttl_s; /* 0: the service's */
    int64_t created_at;                            /* s */
    bool is_public;                                /* it has no secret */
    bool is_active;
};

/* What a client's id and scopes may be: RFC 6749 appendix A, and at most 255 and 2048 bytes. */
bool client_admin_id_is_fit(struct str id);
bool client_admin_scopes_are_fit(struct str scopes);

/* 256 random bits in base64url, and a NUL; the caller wipes it. */
enum { CLIENT_SECRET_SIZE = 44 };

/* Adds a client as `wanted` says, with a new secret unless it is public. ERR_INVALID_REQUEST; ERR_CONFLICT: the id is
 * taken. */
MUST_USE struct err client_admin_add(struct service *service, const struct client_entry *wanted,
                                     char secret[CLIENT_SECRET_SIZE]);
/* At most `max`, ordered by id; in the arena. */
MUST_USE struct err client_admin_list(struct service *service, struct arena *arena, size_t max,
                                      struct client_entry **out, size_t *count);
/* Gives a client another secret in place of the one it has. ERR_NOT_FOUND: there is no such client, or it is public. */
MUST_USE struct err client_admin_renew_secret(struct service *service, struct arena *arena, struct str id,
                                              struct client_entry *out, char secret[CLIENT_SECRET_SIZE]);
/* Disables or enables. ERR_NOT_FOUND. */
MUST_USE struct err client_admin_set_active(struct service *service, struct str id, bool is_active);

#endif

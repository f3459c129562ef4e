/* service/clients.h: clients in memory, so that the loops can authenticate without the store. Only clients that exist
 * are kept; a worker looks up those that are not found here. What a client has registered is read once for each change
 * of it, and shared by all who look (client->registered). */
#ifndef SERVICE_CLIENTS_H
#define SERVICE_CLIENTS_H

#include "store/store.h"

struct clients;

/* Entries older than `ttl_s` are not used, nor, while the store can't be read, those older than `staleness_s` as well.
 * The store must outlive it. */
struct clients *clients_new(struct store *store, int64_t ttl_s, int64_t staleness_s);
void clients_free(struct clients *clients); /* NULL allowed */

/* Only from memory: false when it is not there or too old. The views of *out live as long as the arena. */
MUST_USE bool clients_get(struct clients *clients, struct arena *arena, struct str id, int64_t now_s,
                          struct client *out);
/* Whether memory still has exactly this reading of a client, which clients_get() gave, and it is not too old: then what
 * was concluded from it stands. */
MUST_USE bool clients_still_has(struct clients *clients, const struct client *client, int64_t now_s);
/* From the store, and kept in memory; from memory, while the store can't be read. May wait. ERR_NOT_FOUND,
 * ERR_UNAVAILABLE. */
MUST_USE struct err clients_find(struct clients *clients, struct arena *arena, struct str id, int64_t now_s,
                                 struct client *out);
/* From memory, or else from the store, and only an active one: ERR_NOT_FOUND otherwise. May wait. */
MUST_USE struct err clients_find_active(struct clients *clients, struct arena *arena, struct str id,
                                        struct client *out);
/* Reads every client in memory again from the store, so that busy ones never age out and a disabled one is refused
 * soon. May wait. */
void clients_refresh(struct clients *clients, int64_t now_s);
size_t clients_count(struct clients *clients);

#endif

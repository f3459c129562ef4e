/* service/examination.h: whether each part that serving needs works, for `doctor`. Makes nothing. May wait. */
#ifndef SERVICE_EXAMINATION_H
#define SERVICE_EXAMINATION_H

#include "base/mem.h"

struct cache;
struct put_events;
struct service;
struct settings;
struct signer;
struct store;

struct finding {
    const char *part;
    struct err err;
    const char *note; /* said when all is well */
};

/* Reads and writes. *note: which it is, static. */
MUST_USE struct err examine_store(struct store *store, const char **note);
/* Whether Redis accepts writes and, where it must, keeps what is written. `cache` is NULL without Redis; then *note
 * says where this instance learns of other instances' revocations. */
MUST_USE struct err examine_cache(const struct settings *settings, struct cache *cache, bool shares_store,
                                  const char **note);
/* Whether the event bus would take this service's events; none is put. `bus` is NULL without EVENT_BUS_NAME. */
MUST_USE struct err examine_events(struct put_events *bus, struct arena *arena, const char **note);
/* A sentence about a signer whose key is loaded; static. */
const char *examine_signer(const struct signer *signer);
/* What needs both the store and the signer, which says how it stands when a key is loaded (NULL: there is no directory
 * of key files). `is_served`: a server runs on this data directory. Sentences may lie in the arena. */
void examine_keys(struct service *service, struct arena *arena, bool is_served, struct finding *signer,
                  struct finding *sign, struct finding *standby);

#endif

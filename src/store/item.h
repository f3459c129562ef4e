/* store/item.h: items: what a protocol has to remember from one request to the next (codes, grants, sessions and the
 * like). All lie in one table. An item changes only by compare-and-swap, as a record among the others of its list
 * (RECORD_ITEM, store.h): so the store says who wins a race, whichever store it is, for any number of instances. */
#ifndef STORE_ITEM_H
#define STORE_ITEM_H

#include "base/mem.h"

enum item_kind { ITEM_CODE = 1, ITEM_GRANT, ITEM_SESSION, ITEM_LOGIN, ITEM_CONSENT, ITEM_ONCE, ITEM_NOTICE };

enum {
    ITEM_BODY_MAX = 16 * 1024,
    ITEM_TEXT_MAX = 512,      /* of client_id, subject and sid each */
    ITEMS_TOGETHER_MAX = 256, /* in one list of records */
    ITEMS_LISTED_MAX = 100,   /* in one answer of list_items */
};

struct item {
    enum item_kind kind;
    unsigned char id[32];               /* SHA-256 of the secret that names it, or of its plain name */
    int64_t version;                    /* 1 when it is new; each change adds 1 */
    int64_t expires_at;                 /* s; it is purged STORE_TOKEN_KEPT_S after that */
    struct str client_id, subject, sid; /* "": none; list_items finds by them */
    struct str body;                    /* a JSON object. "" in a record: the item is deleted; the rest as it was */
};

/* Which items to list: of a kind, and with each of the texts that is not empty. */
struct item_query {
    enum item_kind kind;
    struct str client_id, subject, sid;
    unsigned char after[32]; /* those with a greater id; zeros: from the first on */
    size_t max;              /* at most so many, and never more than ITEMS_LISTED_MAX */
};

/* "code", "grant", …; static. */
struct str item_kind_name(enum item_kind kind);

struct record;
/* The record that puts an item where the store has `version` of it (0: none), in front of the records `next`. Lies in
 * the arena, as does a copy of the item; the item's texts must live as long. */
struct record *item_put(struct arena *arena, const struct item *item, int64_t version, struct record *next);
/* The record that deletes it, as it was read. */
struct record *item_delete(struct arena *arena, const struct item *item, struct record *next);
/* Whether there is an item among the records of a list. */
bool item_is_among(const struct record *list);
/* What no store keeps, so that all stores keep the same: ERR_INVALID_REQUEST for a text that is too long, is not UTF-8
 * or holds a NUL, a body that is no object, a time or a version that can't be, an item that is twice in the list, or
 * more than ITEMS_TOGETHER_MAX of them. */
MUST_USE struct err item_check_list(const struct record *list);

#endif

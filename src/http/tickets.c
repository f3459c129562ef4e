/* http/tickets.c: the keys of two or three days, and OpenSSL's callback that asks for one. */
#include "http/tickets.h"
#include "base/random.h"
#include "jose/seal.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { DAY_S = 24 * 3600, KEYS_MAX = 4 };

_Static_assert(TICKET_LIFE_S + TICKETS_AHEAD_S < DAY_S, "no more than two days' keys are good at a time");
_Static_assert((int)SEAL_KEY_LEN == (int)TICKET_KEY_LEN, "a key is one derivation");

struct tickets_entry {
    bool is_there, is_shared;
    int64_t day; /* since 1970 */
    struct ticket_key key;
};

/* In pages of their own. */
struct tickets_kept {
    unsigned char secret[SEAL_KEY_LEN]; /* what the shared keys are derived from */
    bool has_secret;
    struct tickets_entry entries[KEYS_MAX];
};

struct tickets {
    pthread_mutex_t lock; /* of what is kept */
    struct secret pages;
    struct tickets_kept *kept;
    EVP_CIPHER *cipher;
};

/* --- keys -------------------------------------------------------------------------------------------------------- */

static int64_t tickets_day(int64_t at_s)
{
    return at_s >= 0 ? at_s / DAY_S : (at_s - DAY_S + 1) / DAY_S;
}

static bool tickets_derive_part(const struct tickets_kept *kept, int64_t day, const char *part,
                                unsigned char out[TICKET_KEY_LEN])
{
    char info[64];
    const int len = snprintf(info, sizeof info, "tls ticket %s of day %lld", part, (long long)day);
    return seal_key((struct str){ (const char *)kept->secret, sizeof kept->secret }, (struct str){ info, (size_t)len },
                    out);
}

static bool tickets_derive(const struct tickets_kept *kept, int64_t day, struct ticket_key *out)
{
    unsigned char name[TICKET_KEY_LEN];
    bool good = kept->has_secret && tickets_derive_part(kept, day, "name", name) &&
                tickets_derive_part(kept, day, "cipher", out->cipher) &&
                tickets_derive_part(kept, day, "mac", out->mac);
    if (good)
        memcpy(out->name, name, sizeof out->name);
    return good;
}

static struct tickets_entry *tickets_find(struct tickets_kept *kept, bool is_shared, int64_t day)
{
    for (size_t i = 0; i < KEYS_MAX; i++) {
        struct tickets_entry *entry = &kept->entries[i];
        if (entry->is_there && entry->is_shared == is_shared && entry->day == day)
            return entry;
    }
    return NULL;
}

static void tickets_drop(struct tickets_entry *entry)
{
    mem_wipe(entry, sizeof *entry);
}

static void tickets_make(struct tickets_kept *kept, bool is_shared, int64_t day)
{
    struct tickets_entry *entry = kept->entries;
    if (tickets_find(kept, is_shared, day))
        return;
    while (entry->is_there) /* there is room: of each kind, two at most */
        entry++;
    *entry = (struct tickets_entry){ .is_there = true, .is_shared = is_shared, .day = day };
    if (!is_shared)
        random_bytes(&entry->key, sizeof entry->key);
    else if (!tickets_derive(kept, day, &entry->key))
        tickets_drop(entry);
}

/* Under the lock. */
static void tickets_turn(struct tickets_kept *kept, int64_t now_s)
{
    const int64_t first = tickets_day(now_s - TICKET_LIFE_S), last = tickets_day(now_s + TICKETS_AHEAD_S);
    for (size_t i = 0; i < KEYS_MAX; i++)
        if (kept->entries[i].is_there && (kept->entries[i].day < first || kept->entries[i].day > last))
            tickets_drop(&kept->entries[i]);
    for (int64_t day = first; day <= last; day++)
        tickets_make(kept, true, day);
    tickets_make(kept, false, tickets_day(now_s));
}

void tickets_look(struct tickets *tickets, int64_t now_s)
{
    pthread_mutex_lock(&tickets->lock);
    tickets_turn(tickets->kept, now_s);
    pthread_mutex_unlock(&tickets->lock);
}

bool tickets_to_seal(struct tickets *tickets, bool is_shared, int64_t now_s, struct ticket_key *out)
{
    pthread_mutex_lock(&tickets->lock);
    tickets_turn(tickets->kept, now_s);
    const struct tickets_entry *entry = tickets_find(tickets->kept, is_shared, tickets_day(now_s));
    if (entry)
        *out = entry->key;
    pthread_mutex_unlock(&tickets->lock);
    return entry;
}

bool tickets_to_open(struct tickets *tickets, bool is_shared, int64_t now_s, const unsigned char name[TICKET_NAME_LEN],
                     struct ticket_key *out)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    tickets_turn(tickets->kept, now_s);
    for (size_t i = 0; i < KEYS_MAX && !found; i++) {
        const struct tickets_entry *entry = &tickets->kept->entries[i];
        found = entry->is_there && entry->is_shared == is_shared && memcmp(entry->key.name, name, TICKET_NAME_LEN) == 0;
        if (found)
            *out = entry->key;
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

struct err tickets_share(struct tickets *tickets, struct str secret)
{
    static const char info[] = "tls tickets";
    unsigned char derived[SEAL_KEY_LEN];
    if (!seal_key(secret, (struct str){ info, sizeof info - 1 }, derived))
        return failed(ERR_INTERNAL, "the keys of TLS tickets could not be derived");
    pthread_mutex_lock(&tickets->lock);
    struct tickets_kept *kept = tickets->kept;
    if (!kept->has_secret || memcmp(kept->secret, derived, sizeof derived) != 0) {
        mem_wipe(kept, sizeof *kept);
        memcpy(kept->secret, derived, sizeof derived);
        kept->has_secret = true;
    }
    pthread_mutex_unlock(&tickets->lock);
    mem_wipe(derived, sizeof derived);
    return OK;
}

/* --- OpenSSL ----------------------------------------------------------------------------------------------------- */

static bool tickets_set(const struct tickets *tickets, const struct ticket_key *key, unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seals)
{
    unsigned char mac_key[TICKET_KEY_LEN]; /* a copy, since OSSL_PARAM takes a pointer that is not const */
    char digest[] = "SHA256";
    memcpy(mac_key, key->mac, sizeof mac_key);
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, sizeof mac_key),
                                  OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                  OSSL_PARAM_construct_end() };
    const bool good = EVP_CipherInit_ex2(cipher, tickets->cipher, key->cipher, iv, seals, NULL) == 1 &&
                      EVP_MAC_CTX_set_params(mac, params) == 1;
    mem_wipe(mac_key, sizeof mac_key);
    return good;
}

/* SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1: here is the key; 0: none, so no ticket, or a full handshake. */
static int tickets_give_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                            int seals)
{
    struct tickets *tickets = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const bool is_shared = SSL_version(ssl) >= TLS1_3_VERSION;
    const int64_t now_s = (int64_t)time(NULL);
    struct ticket_key key;
    if (!(seals ? tickets_to_seal(tickets, is_shared, now_s, &key)
                : tickets_to_open(tickets, is_shared, now_s, name, &key)))
        return 0;
    if (seals) {
        memcpy(name, key.name, sizeof key.name);
        random_bytes(iv, EVP_MAX_IV_LENGTH);
    }
    const bool good = tickets_set(tickets, &key, iv, cipher, mac, seals);
    mem_wipe(&key, sizeof key);
    return good ? 1 : 0;
}

bool tickets_use(struct tickets *tickets, SSL_CTX *context)
{
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets resume without memory here */
    SSL_CTX_set_timeout(context, TICKET_LIFE_S);
    SSL_CTX_set_app_data(context, tickets);
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tickets_give_key) == 1;
}

/* --- beginning and end ------------------------------------------------------------------------------------------- */

struct err tickets_open(struct tickets **out)
{
    struct tickets *tickets = mem_alloc(sizeof *tickets);
    *tickets = (struct tickets){ .cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL) };
    struct err err = tickets->cipher ? secret_init(&tickets->pages, sizeof *tickets->kept, NULL)
                                     : failed(ERR_INTERNAL, "this OpenSSL lacks what TLS tickets need");
    if (err.code) {
        EVP_CIPHER_free(tickets->cipher);
        free(tickets);
        return err;
    }
    tickets->kept = (void *)tickets->pages.at;
    pthread_mutex_init(&tickets->lock, NULL);
    *out = tickets;
    return OK;
}

void tickets_close(struct tickets *tickets)
{
    if (!tickets)
        return;
    secret_release(&tickets->pages);
    EVP_CIPHER_free(tickets->cipher);
    pthread_mutex_destroy(&tickets->lock);
    free(tickets);
}

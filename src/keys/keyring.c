/* keys/keyring.c: the view in force, and how the next one comes to be.
 *
 * A view is never changed. Whoever acquires it counts as a reader; the ring itself counts as one. A reload builds the
 * next view and swaps the pointer under a short lock. The old view stays until a later reload finds that no request
 * holds it; only then is a private key that it signed with forgotten, so a rotation fails no request that has begun.
 * Public keys are shared between views, so a key keeps its serial, and what the cache of verified tokens knows stays
 * true. */
#include "keys/keyring.h"
#include "jose/b64.h"
#include "keys/pair.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A public key that several views may hold. */
struct shared_key {
    struct jwk *jwk;
    atomic_uint refs;
};

struct view {
    struct keyring_view shown; /* first: keyring_acquire hands out its address */
    struct shared_key *shared[KEYRING_MAX];
    struct str fingerprint; /* of what the store said: kids, states and times */
    struct view *older;     /* a former view that requests may still hold */
    atomic_uint refs;
    struct arena arena;
};

struct keyring {
    struct store *store;
    struct signer *signer;
    pthread_mutex_t lock;    /* only of `view`: the pointer, and its first new reference */
    pthread_mutex_t writing; /* held while the next view is made: by housekeeping, or after a key was revoked */
    struct view *view;
    bool unloaded; /* the view's active key could not be loaded yet; under `writing` */
};

/* --- views ------------------------------------------------------------------------------------------------------- */

static void keyring_shared_release(struct shared_key *shared)
{
    if (atomic_fetch_sub(&shared->refs, 1) != 1)
        return;
    jwk_free(shared->jwk);
    free(shared);
}

static void keyring_view_release(struct view *view)
{
    if (!view || atomic_fetch_sub(&view->refs, 1) != 1)
        return;
    for (size_t i = 0; i < view->shown.count; i++)
        keyring_shared_release(view->shared[i]);
    arena_release(&view->arena);
    free(view);
}

static void keyring_view_releasep(struct view **view)
{
    keyring_view_release(*view);
}

const struct keyring_view *keyring_acquire(struct keyring *ring)
{
    pthread_mutex_lock(&ring->lock);
    struct view *view = ring->view;
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&ring->lock);
    return &view->shown;
}

void keyring_release(const struct keyring_view *shown)
{
    keyring_view_release((struct view *)(uintptr_t)shown);
}

const struct keyring_key *keyring_find(const struct keyring_view *view, struct str kid)
{
    for (size_t i = 0; i < view->count; i++)
        if (str_eq(view->keys[i].kid, kid))
            return &view->keys[i];
    return NULL;
}

/* --- building the next view -------------------------------------------------------------------------------------- */

/* A key of the store as a public key: shared with the present view when it is there already. */
static struct err keyring_share_key(const struct view *now, struct arena *arena, const struct key *key,
                                    struct shared_key **out)
{
    for (size_t i = 0; now && i < now->shown.count; i++)
        if (str_eq(now->shown.keys[i].kid, key->kid)) {
            atomic_fetch_add(&now->shared[i]->refs, 1);
            *out = now->shared[i];
            return OK;
        }
    struct jwk *jwk = NULL;
    TRY(pair_read_public(arena, key, &jwk));
    struct shared_key *shared = mem_alloc(sizeof *shared);
    *shared = (struct shared_key){ .jwk = jwk, .refs = 1 };
    *out = shared;
    return OK;
}

static struct err keyring_add_key(const struct view *now, struct view *next, const struct key *key)
{
    struct keyring_view *shown = &next->shown;
    struct shared_key *shared = NULL;
    if (shown->count == KEYRING_MAX)
        return failed(ERR_UNAVAILABLE, "the store holds more signing keys than the service can use");
    TRY(keyring_share_key(now, &next->arena, key, &shared));
    next->shared[shown->count] = shared;
    struct keyring_key *to = &shown->keys[shown->count++];
    *to = (struct keyring_key){ .jwk = shared->jwk,
                                .kid = str_of(shared->jwk->kid),
                                .state = key->state,
                                .created_at = key->created_at,
                                .activated_at = key->activated_at };
    if (key->state == KEY_ACTIVE)
        shown->active = to;
    return OK;
}

/* RFC 7517 section 5. The entity tag is a hash of the document, so that all instances give the same one. */
static void keyring_render_jwks(struct view *view)
{
    struct buf out;
    unsigned char hash[32];
    buf_init(&out, &view->arena, 1024, (size_t)64 * 1024);
    buf_add(&out, STR("{\"keys\":["));
    for (size_t i = 0; i < view->shown.count; i++) {
        if (i > 0)
            buf_add_char(&out, ',');
        jwk_write_public(view->shown.keys[i].jwk, &out);
    }
    buf_add(&out, STR("]}"));
    view->shown.jwks = buf_str(&out);
    sha256(view->shown.jwks, hash);
    buf_init(&out, &view->arena, 32, 32);
    buf_add_char(&out, '"');
    b64url_add(&out, (struct str){ (const char *)hash, 12 });
    buf_add_char(&out, '"');
    view->shown.etag = buf_str(&out);
}

/* Whatever may change of a key while it lives. */
static struct str keyring_fingerprint_of(struct arena *arena, const struct key *keys, size_t count)
{
    struct buf out;
    buf_init(&out, arena, 256, (size_t)64 * 1024);
    for (size_t i = 0; i < count; i++) {
        const int64_t values[] = { (int64_t)keys[i].state, keys[i].published_at,        keys[i].activated_at,
                                   keys[i].retiring_at,    keys[i].rotate_requested_at, keys[i].lifetime_s,
                                   keys[i].retire_after };
        buf_add(&out, keys[i].kid);
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            buf_add_char(&out, ' ');
            buf_add_int(&out, values[j]);
        }
        buf_add_char(&out, '\n');
    }
    return buf_str(&out);
}

/* What the store said, for as long as the view lives. */
static const struct key *keyring_copy_records(struct arena *arena, const struct key *keys, size_t count)
{
    struct key *copies = arena_alloc(arena, (count + 1) * sizeof *copies);
    for (size_t i = 0; i < count; i++) {
        copies[i] = keys[i];
        copies[i].kid = arena_copy(arena, keys[i].kid);
        copies[i].alg = arena_copy(arena, keys[i].alg);
        copies[i].public_jwk = arena_copy(arena, keys[i].public_jwk);
        copies[i].private_ref = arena_copy(arena, keys[i].private_ref);
        copies[i].revocation_reason = arena_copy(arena, keys[i].revocation_reason);
        copies[i].rotated_from_kid = arena_copy(arena, keys[i].rotated_from_kid);
    }
    return copies;
}

/* *out has the ring's own reference. ERR_NOT_FOUND when no key is active. */
static struct err keyring_build_view(const struct view *now, const struct key *keys, size_t count, struct view **out)
{
    AUTO(keyring_view_releasep) struct view *next = mem_alloc(sizeof *next);
    memset(next, 0, sizeof *next);
    atomic_init(&next->refs, 1);
    arena_init(&next->arena, NULL, 0);
    for (size_t i = 0; i < count; i++)
        TRY(keyring_add_key(now, next, &keys[i]));
    if (!next->shown.active)
        return failed(ERR_NOT_FOUND, "no signing key is active");
    next->shown.records = keyring_copy_records(&next->arena, keys, count);
    next->shown.signing_waits = pair_is_of(&next->shown.records[next->shown.active - next->shown.keys], SIGNER_KMS);
    keyring_render_jwks(next);
    next->fingerprint = keyring_fingerprint_of(&next->arena, keys, count);
    *out = next;
    next = NULL;
    return OK;
}

static bool keyring_may_sign(enum key_state state)
{
    return state == KEY_ACTIVE || state == KEY_PENDING;
}

/* The key that signs is loaded before any request can meet it, and the one that will sign before it must. A standby
 * that can't be loaded stops nothing: the rotation (rotation.h) takes another one in its place. */
static struct err keyring_load_signers(struct signer *signer, struct arena *arena, const struct key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!keyring_may_sign(keys[i].state))
            continue;
        struct err err = signer->ops->load(signer, arena, &keys[i]);
        if (err.code && keys[i].state == KEY_ACTIVE)
            return err;
        if (err.code)
            LOG(LOG_ERROR, "standby_not_loaded", LOG_STR("kid", keys[i].kid), LOG_TEXT_("why", err.why));
    }
    return OK;
}

/* Former views that no request holds any more: what they signed with and the present one does not is wiped. */
static void keyring_drop_older(struct keyring *ring)
{
    for (struct view **place = &ring->view->older; *place;) {
        struct view *old = *place;
        if (atomic_load(&old->refs) > 1) {
            place = &old->older;
            continue;
        }
        for (size_t i = 0; i < old->shown.count; i++) {
            const struct keyring_key *now = keyring_find(&ring->view->shown, old->shown.keys[i].kid);
            if (keyring_may_sign(old->shown.keys[i].state) && !(now && keyring_may_sign(now->state)))
                ring->signer->ops->unload(ring->signer, old->shown.keys[i].kid);
        }
        *place = old->older;
        keyring_view_release(old);
    }
}

static void keyring_swap_view(struct keyring *ring, struct view *next)
{
    pthread_mutex_lock(&ring->lock);
    struct view *old = next->older = ring->view;
    ring->view = next;
    pthread_mutex_unlock(&ring->lock);
    bool same = old && str_eq(old->shown.jwks, next->shown.jwks) &&
                str_eq(old->shown.active->kid, next->shown.active->kid); /* only a note on a key is new */
    LOG(same ? LOG_DEBUG : LOG_INFO, old ? "keys_changed" : "keys_read", LOG_STR("active", next->shown.active->kid),
        LOG_TEXT_("alg", jwa_name(next->shown.active->jwk->alg)), LOG_INT("keys", (int64_t)next->shown.count));
}

/* Whether a key of the view is one no more: revoked, or retired. That is put in force whatever else fails: better a
 * service that can't sign for a while than one that takes a revoked key's tokens. */
static bool keyring_takes_away(const struct view *view, const struct key *keys, size_t count)
{
    for (size_t i = 0; i < view->shown.count; i++) {
        bool stays = false;
        for (size_t j = 0; j < count && !stays; j++)
            stays = str_eq(view->shown.keys[i].kid, keys[j].kid);
        if (!stays)
            return true;
    }
    return false;
}

static struct err keyring_reload_locked(struct keyring *ring, struct arena *arena)
{
    struct key *keys = NULL;
    struct view *next = NULL;
    size_t count = 0;
    TRY(ring->store->ops->list_keys(ring->store, arena, &keys, &count));
    if (ring->view)
        keyring_drop_older(ring);
    bool same = ring->view && str_eq(ring->view->fingerprint, keyring_fingerprint_of(arena, keys, count));
    if (same && !ring->unloaded)
        return OK;
    struct err loaded = keyring_load_signers(ring->signer, arena, keys, count);
    if (loaded.code && (same || !ring->view || !keyring_takes_away(ring->view, keys, count)))
        return loaded;
    ring->unloaded = loaded.code != ERR_OK;
    if (same)
        return OK;
    TRY(keyring_build_view(ring->view, keys, count, &next));
    keyring_swap_view(ring, next);
    keyring_drop_older(ring); /* at once, when no request holds it: a revoked key may not stay loaded */
    return OK;
}

struct err keyring_reload(struct keyring *ring)
{
    AUTO(arena_release) struct arena arena = { 0 };
    pthread_mutex_lock(&ring->writing);
    struct err err = keyring_reload_locked(ring, &arena);
    pthread_mutex_unlock(&ring->writing);
    if (err.code)
        LOG(LOG_ERROR, "keys_not_reread", LOG_TEXT_("why", err.why));
    return err.code ? failed(ERR_UNAVAILABLE, "the signing keys can't be read") : OK;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* The first key. Two instances may do this at once: the store takes one, and the other reads it. */
static struct err keyring_make_first_key(struct keyring *ring, struct arena *arena, enum jwa alg, int64_t now_s)
{
    struct key key = { 0 };
    struct err err = signer_adopt(ring->signer, arena, alg, NULL, 0, &key);
    if (err.code == ERR_NOT_FOUND)
        err = ring->signer->ops->create(ring->signer, arena, alg, &key);
    TRY(err);
    key.state = KEY_ACTIVE;
    key.created_at = key.published_at = key.activated_at = now_s;
    err = ring->store->ops->add_first_key(ring->store, &key);
    return err.code == ERR_CONFLICT ? OK : err;
}

static struct err keyring_open_ring(struct keyring *ring, struct arena *arena, enum jwa alg, int64_t now_s)
{
    struct err err = keyring_reload_locked(ring, arena);
    if (err.code == ERR_NOT_FOUND) {
        TRY(keyring_make_first_key(ring, arena, alg, now_s));
        err = keyring_reload_locked(ring, arena);
    }
    TRY(err);
    if (ring->view->shown.active->jwk->alg != alg)
        LOG(LOG_WARN, "signing_alg_differs", LOG_TEXT_("active", jwa_name(ring->view->shown.active->jwk->alg)),
            LOG_TEXT_("TOKEN_SIGNING_ALG", jwa_name(alg)),
            LOG_TEXT_("why", "TOKEN_SIGNING_ALG is the algorithm of the next key"));
    return OK;
}

struct err keyring_open(struct store *store, struct signer *signer, enum jwa alg, int64_t now_s, struct arena *arena,
                        struct keyring **out)
{
    struct keyring *ring = mem_alloc(sizeof *ring);
    *ring = (struct keyring){ .store = store, .signer = signer };
    pthread_mutex_init(&ring->lock, NULL);
    pthread_mutex_init(&ring->writing, NULL);
    struct err err = keyring_open_ring(ring, arena, alg, now_s);
    if (err.code) {
        keyring_close(ring);
        return err.code == ERR_NOT_FOUND ? failed(ERR_UNAVAILABLE, err.why) : err;
    }
    *out = ring;
    return OK;
}

void keyring_close(struct keyring *ring)
{
    if (!ring)
        return;
    for (struct view *view = ring->view; view;) {
        struct view *older = view->older;
        keyring_view_release(view);
        view = older;
    }
    pthread_mutex_destroy(&ring->writing);
    pthread_mutex_destroy(&ring->lock);
    free(ring);
}

/* --- signing ----------------------------------------------------------------------------------------------------- */

struct err keyring_sign(struct keyring *ring, const struct keyring_view *view, enum sign_priority priority,
                        struct str typ, struct str payload, struct buf *out)
{
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0, start = out->len;
    const struct jwk *jwk = view->active->jwk;
    jws_write_signing_input(out, jwk->alg, typ, view->active->kid, payload);
    if (out->overflowed)
        return OK; /* the caller looks at it: the claims were too large */
    const struct str input = { out->at + start, out->len - start };
    struct err err = ring->signer->ops->sign(ring->signer, view->active->kid, jwk->alg, priority, input, signature,
                                             &len);
    if (err.code) {
        metrics_count(COUNT_SIGNER_ERRORS, 1);
        return err;
    }
    buf_add_char(out, '.');
    b64url_add(out, (struct str){ signature, len });
    return OK;
}

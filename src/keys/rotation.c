/* keys/rotation.c: moves keys along their life. */
#include "keys/rotation.h"
#include "base/rfc3339.h"
#include "keys/pair.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    RETRY_S = 30, /* after a failure, until the next attempt */
    STANDBY_PATIENCE_S =
        600,        /* how long a standby that can't sign holds a rotation up before another takes its place */
    STEPS_MAX = 8,  /* a round */
    PAST_MAX = 256, /* past keys looked at in a round */
    TRIES = 3,      /* of a request that others overtake */
    LEASE_S = 60,   /* in which a key pair is made: longer than all calls of KMS for one may take together */
};

struct rotation {
    struct store *store;
    struct signer *signer;
    const struct settings *settings;
    pthread_mutex_t lock;         /* one thread at a time: two would make two keys where one is wanted */
    int64_t retry_at, dispose_at; /* s; after failures */
};

struct rotation *rotation_new(struct store *store, struct signer *signer, const struct settings *settings)
{
    struct rotation *rotation = mem_alloc(sizeof *rotation);
    *rotation = (struct rotation){ .store = store, .signer = signer, .settings = settings };
    pthread_mutex_init(&rotation->lock, NULL);
    return rotation;
}

void rotation_free(struct rotation *rotation)
{
    if (!rotation)
        return;
    pthread_mutex_destroy(&rotation->lock);
    free(rotation);
}

static void rotation_unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

#define HOLD(rotation)                                                                                                 \
    AUTO(rotation_unlockp) pthread_mutex_t *held_ = &(rotation)->lock;                                                 \
    pthread_mutex_lock(held_)

/* A line and a count for each transition; its event is in the store, with it. */
static void rotation_tell(enum counter counter, const char *transition, struct str new_kid, struct str old_kid,
                          struct str reason)
{
    metrics_count(counter, 1);
    LOG(counter == COUNT_KEYS_REVOKED ? LOG_WARN : LOG_INFO, "keys_rotated", LOG_TEXT_("transition", transition),
        LOG_STR("newKeyId", new_kid), LOG_STR("oldKeyId", old_kid), LOG_STR("reason", reason));
}

struct err rotation_read_life(struct store *store, const struct settings *settings, struct arena *arena,
                              struct lifecycle *out)
{
    struct key *keys = NULL;
    *out = (struct lifecycle){ .settings = settings };
    TRY(store->ops->list_keys(store, arena, &keys, &out->count));
    out->keys = keys;
    return OK;
}

/* The time by which keys are moved: of the store that instances share, since this machine's clock may be wrong, and a
 * key that was published or replaced too early by it would be retired while its tokens are good. */
static struct err rotation_agree_on_time(const struct rotation *rotation, int64_t *now_s)
{
    int64_t shared_ms;
    if (!rotation->store->ops->now)
        return OK;
    TRY(rotation->store->ops->now(rotation->store, &shared_ms));
    *now_s = shared_ms / 1000;
    return OK;
}

/* --- making the standby ------------------------------------------------------------------------------------------ */

/* What this key signs must verify with what the store publishes as it. */
static struct err rotation_prove(struct signer *signer, struct arena *arena, const struct key *key)
{
    AUTO(jwk_freep) struct jwk *public = NULL;
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    TRY(signer->ops->load(signer, arena, key));
    TRY(pair_read_public(arena, key, &public));
    struct str message = pair_test_message(arena, public);
    TRY(signer->ops->sign(signer, key->kid, public->alg, SIGN_TRIAL, message, signature, &len));
    return pair_check(public, message, (struct str){ signature, len });
}

/* Whether a standby that failed is to blame itself: not when the active key fails too, since then it is the signer as a
 * whole (a KMS that can't be reached), and the standby proved itself when it was made. */
static bool rotation_is_to_blame(struct rotation *rotation, struct arena *arena, const struct lifecycle *life)
{
    const struct key *active = lifecycle_active(life);
    struct err err = active ? rotation_prove(rotation->signer, arena, active) : OK;
    return !err.code || err.code == ERR_NOT_FOUND; /* of a signer that is not open: it has no part in this */
}

/* The keys that have rows and may have private halves. */
static struct err rotation_known_keys(struct rotation *rotation, struct arena *arena, const struct lifecycle *life,
                                      const struct key **out, size_t *count)
{
    struct key *past = NULL, *known = NULL;
    size_t past_count = 0;
    TRY(rotation->store->ops->list_past_keys(rotation->store, arena, true, PAST_MAX, &past, &past_count));
    known = arena_alloc(arena, (life->count + past_count + 1) * sizeof *known);
    for (size_t i = 0; i < life->count; i++)
        known[i] = life->keys[i];
    for (size_t i = 0; i < past_count; i++)
        known[life->count + i] = past[i];
    *out = known;
    *count = life->count + past_count;
    return OK;
}

/* A pair of a key that has had its life (its file came back from a backup, say) is disposed of again: ERR_NOT_FOUND. */
static struct err rotation_forget_past(struct rotation *rotation, struct arena *arena, const struct key *found)
{
    struct key past;
    struct err err = rotation->store->ops->find_key(rotation->store, arena, found->kid, &past);
    if (err.code)
        return err.code == ERR_NOT_FOUND ? OK : err;
    if (past.state != KEY_RETIRED && past.state != KEY_REVOKED)
        return failed(ERR_CONFLICT, "another instance has published this key");
    TRY(rotation->signer->ops->dispose(rotation->signer, arena, &past));
    return failed(ERR_NOT_FOUND, "a key that was used before came up again as the next one");
}

/* A pair that somebody left behind comes before a new one. It may be of another algorithm: then it becomes the standby
 * for a moment, is dropped as such, and so is disposed of like every other key. */
static struct err rotation_find_or_make(struct rotation *rotation, struct arena *arena, const struct lifecycle *life,
                                        struct key *out)
{
    struct signer *signer = rotation->signer;
    const enum jwa wanted = (enum jwa)rotation->settings->signing_alg;
    const enum jwa algs[] = { wanted, JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
    const struct key *known = NULL;
    size_t count = 0;
    TRY(rotation_known_keys(rotation, arena, life, &known, &count));
    for (size_t i = 0; i < sizeof algs / sizeof *algs; i++) {
        struct err err = signer_adopt(signer, arena, algs[i], known, count, out);
        if (!err.code)
            err = rotation_forget_past(rotation, arena, out);
        if (err.code != ERR_NOT_FOUND)
            return err;
    }
    TRY(signer->ops->create(signer, arena, wanted, out));
    struct err err = rotation_forget_past(rotation, arena, out);
    return err.code == ERR_NOT_FOUND ? failed(ERR_UNAVAILABLE, err.why) : err;
}

/* Under the lease. */
static struct err rotation_publish_standby(struct rotation *rotation, struct arena *arena, int64_t now_s)
{
    struct lifecycle life;
    struct key key = { 0 };
    TRY(rotation_read_life(rotation->store, rotation->settings, arena, &life));
    if (lifecycle_standby(&life))
        return failed(ERR_CONFLICT, "another instance has made the next key");
    TRY(rotation_find_or_make(rotation, arena, &life, &key));
    TRY(rotation_prove(rotation->signer, arena, &key));
    key.created_at = key.published_at = now_s;
    struct err err = rotation->store->ops->add_pending_key(rotation->store, &key);
    if (!err.code)
        rotation_tell(COUNT_KEYS_PUBLISHED, "published", key.kid, STR(""), STR(""));
    return err; /* when another instance's was faster, the next standby adopts this one */
}

/* By one instance at a time: a pair too many costs money in KMS. Should it end in between, the lease does too. */
static struct err rotation_make_standby(struct rotation *rotation, struct arena *arena, int64_t now_s)
{
    struct store *store = rotation->store;
    struct err err = store->ops->take_lease(store, STR("standby"), LEASE_S);
    if (err.code)
        return err.code == ERR_CONFLICT ? failed(ERR_CONFLICT, "another instance is making the next key") : err;
    err = rotation_publish_standby(rotation, arena, now_s);
    struct err dropped = store->ops->drop_lease(store, STR("standby"));
    (void)dropped;
    return err;
}

static struct err rotation_drop_standby(struct rotation *rotation, const struct key *standby, const char *reason,
                                        int64_t now_s)
{
    const struct key_terms terms = lifecycle_terms(rotation->settings);
    TRY(rotation->store->ops->revoke_key(rotation->store, standby->kid, STR(""), str_of(reason), now_s, &terms));
    rotation_tell(COUNT_KEYS_REVOKED, "revoked", STR(""), standby->kid, str_of(reason));
    return OK;
}

/* --- one step of a round ----------------------------------------------------------------------------------------- */

static struct err rotation_activate(struct rotation *rotation, const struct lifecycle *life, const struct key *standby,
                                    int64_t now_s)
{
    const struct key_terms terms = lifecycle_terms(rotation->settings);
    const struct key *active = lifecycle_active(life);
    TRY(rotation->store->ops->activate_key(rotation->store, standby->kid, active->kid, now_s, &terms));
    rotation_tell(COUNT_KEYS_ACTIVATED, "activated", standby->kid, active->kid, STR(""));
    return OK;
}

static struct err rotation_rotate_when_due(struct rotation *rotation, struct arena *arena, const struct lifecycle *life,
                                           const struct key *standby, int64_t now_s)
{
    struct err err = rotation_prove(rotation->signer, arena, standby);
    if (err.code && now_s >= lifecycle_rotation_at(life, now_s) + STANDBY_PATIENCE_S &&
        rotation_is_to_blame(rotation, arena, life))
        return rotation_drop_standby(rotation, standby, "its private key can't be used", now_s);
    TRY(err);
    return rotation_activate(rotation, life, standby, now_s);
}

static struct err rotation_take_step(struct rotation *rotation, struct arena *arena, const struct lifecycle *life,
                                     const struct due *due, int64_t now_s)
{
    switch (due->step) {
    case STEP_NONE:
        break;
    case STEP_MAKE_STANDBY:
        return rotation_make_standby(rotation, arena, now_s);
    case STEP_DROP_STANDBY:
        return rotation_drop_standby(rotation, due->key,
                                     "TOKEN_SIGNING_ALG or TOKEN_SIGNER asks for another kind of key", now_s);
    case STEP_ROTATE:
        return rotation_rotate_when_due(rotation, arena, life, due->key, now_s);
    case STEP_RETIRE:
        TRY(rotation->store->ops->retire_key(rotation->store, due->key->kid, now_s));
        rotation_tell(COUNT_KEYS_RETIRED, "retired", STR(""), due->key->kid, STR(""));
        break;
    }
    return OK;
}

/* --- rounds ------------------------------------------------------------------------------------------------------ */

static struct err rotation_dispose_all(struct rotation *rotation, struct arena *arena, int64_t now_s, bool *changed)
{
    struct key *past = NULL;
    size_t count = 0;
    TRY(rotation->store->ops->list_past_keys(rotation->store, arena, true, PAST_MAX, &past, &count));
    for (size_t i = 0; i < count; i++) {
        TRY(rotation->signer->ops->dispose(rotation->signer, arena, &past[i]));
        struct err err = rotation->store->ops->mark_key_disposed(rotation->store, past[i].kid, now_s);
        if (err.code && err.code != ERR_CONFLICT)
            return err;
        LOG(LOG_INFO, "key_disposed", LOG_STR("kid", past[i].kid));
        *changed = true;
    }
    return OK;
}

static void rotation_dispose_due(struct rotation *rotation, int64_t now_s, bool *changed)
{
    AUTO(arena_release) struct arena arena = { 0 };
    if (now_s < rotation->dispose_at)
        return;
    struct err err = rotation_dispose_all(rotation, &arena, now_s, changed);
    if (err.code) {
        rotation->dispose_at = now_s + RETRY_S;
        LOG(LOG_ERROR, "key_not_disposed", LOG_TEXT_("why", err.why));
    }
}

void rotation_dispose(struct rotation *rotation, int64_t now_s, bool *changed)
{
    HOLD(rotation);
    rotation_dispose_due(rotation, now_s, changed);
}

static struct err rotation_allow_locked(struct rotation *rotation, const struct lifecycle *life)
{
    const struct key *active = lifecycle_active(life);
    int64_t lifetime_s = lifecycle_terms(rotation->settings).lifetime_s;
    if (!active || active->lifetime_s >= lifetime_s)
        return OK;
    return rotation->store->ops->raise_key_lifetime(rotation->store, lifetime_s);
}

struct err rotation_allow_lifetime(struct rotation *rotation)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct lifecycle life;
    HOLD(rotation);
    TRY(rotation_read_life(rotation->store, rotation->settings, &arena, &life));
    return rotation_allow_locked(rotation, &life);
}

/* False when nothing more is due. A step that another instance took is no failure: the next look shows it. */
static bool rotation_next_step(struct rotation *rotation, struct arena *arena, int64_t now_s, struct err *err)
{
    struct lifecycle life;
    *err = rotation_read_life(rotation->store, rotation->settings, arena, &life);
    if (!err->code)
        *err = rotation_allow_locked(rotation, &life); /* another instance's settings may have activated the key */
    if (err->code)
        return false;
    struct due due = lifecycle_due(&life, now_s);
    if (due.step == STEP_NONE || (now_s < rotation->retry_at && due.step != STEP_RETIRE))
        return false;
    *err = rotation_agree_on_time(rotation, &now_s);
    if (err->code)
        return false;
    due = lifecycle_due(&life, now_s);
    if (due.step == STEP_NONE)
        return false;
    *err = rotation_take_step(rotation, arena, &life, &due, now_s);
    if (err->code == ERR_CONFLICT)
        *err = OK;
    return !err->code;
}

void rotation_round(struct rotation *rotation, int64_t now_s, bool *changed)
{
    struct err err = OK;
    HOLD(rotation);
    rotation_dispose_due(rotation, now_s, changed);
    for (int i = 0; i < STEPS_MAX; i++) {
        struct arena arena;
        arena_init(&arena, NULL, 0);
        bool more = rotation_next_step(rotation, &arena, now_s, &err);
        if (err.code) { /* its sentence may lie in the arena */
            rotation->retry_at = now_s + RETRY_S;
            LOG(err.code == ERR_NOT_FOUND ? LOG_WARN : LOG_ERROR, "keys_not_moved", LOG_TEXT_("why", err.why));
        }
        arena_release(&arena);
        if (!more)
            break;
        *changed = true;
    }
}

/* --- what is asked for ------------------------------------------------------------------------------------------- */

/* A standby that can sign, made now when there is none; *life is read again then. When it is the signer as a whole that
 * fails, an emergency goes on with the standby that there is. */
static struct err rotation_need_standby(struct rotation *rotation, struct arena *arena, struct lifecycle *life,
                                        bool emergency, int64_t now_s, const struct key **out)
{
    const struct key *standby = lifecycle_standby(life);
    struct err err = standby ? rotation_prove(rotation->signer, arena, standby) : OK;
    if (err.code) {
        LOG(LOG_ERROR, "standby_unusable", LOG_STR("kid", standby->kid), LOG_TEXT_("why", err.why));
        *out = standby;
        if (!rotation_is_to_blame(rotation, arena, life))
            return emergency && lifecycle_active(life) ? OK : err;
        TRY(rotation_drop_standby(rotation, standby, "its private key can't be used", now_s));
        TRY(rotation_read_life(rotation->store, rotation->settings, arena, life));
        standby = NULL;
    }
    if (!standby) {
        if (life->count >= KEYS_LIVE_MAX)
            return failed(ERR_CONFLICT,
                          "as many keys are published as are allowed: revoke one, or wait until one is retired");
        err = rotation_make_standby(rotation, arena, now_s);
        if (err.code == ERR_NOT_FOUND)
            return failed(ERR_CONFLICT, arena_printf(arena, "no key can follow the active one: %s", err.why).at);
        TRY(err);
        TRY(rotation_read_life(rotation->store, rotation->settings, arena, life));
        standby = lifecycle_standby(life);
    }
    *out = standby;
    return standby && lifecycle_active(life) ? OK : failed(ERR_CONFLICT, "the keys have changed in the meantime");
}

static const char *rotation_caches_behind(struct arena *arena, int64_t ready_at, int64_t now_s, const char *done)
{
    if (ready_at <= now_s)
        return arena_printf(arena, "%s; every verifier has known the new key for long enough", done).at;
    return arena_printf(arena,
                        "%s; verifiers with an older copy of the key set may refuse new tokens until %s at the latest",
                        done, rfc3339_write(arena, ready_at).at)
        .at;
}

static struct err rotation_rotate_locked(struct rotation *rotation, struct arena *arena, bool immediate, int64_t now_s,
                                         struct rotated *out)
{
    struct lifecycle life;
    const struct key *standby = NULL;
    TRY(rotation_agree_on_time(rotation, &now_s));
    TRY(rotation_read_life(rotation->store, rotation->settings, arena, &life));
    TRY(rotation_need_standby(rotation, arena, &life, false, now_s, &standby));
    const struct key *active = lifecycle_active(&life);
    int64_t ready_at = lifecycle_standby_ready_at(&life);
    if (life.count >= KEYS_LIVE_MAX) /* the standby's own standby would find no room, and an emergency no key */
        return failed(ERR_CONFLICT,
                      "too many keys are published to add another: revoke one, or wait until one is retired");
    if (!immediate && ready_at > now_s) {
        TRY(rotation->store->ops->request_rotation(rotation->store, active->kid, now_s));
        LOG(LOG_INFO, "rotation_requested", LOG_STR("active", active->kid), LOG_INT("at", ready_at));
        *out = (struct rotated){ .at_s = ready_at,
                                 .message = arena_printf(arena,
                                                         "the next key is published and will sign from %s on, when "
                                                         "every verifier knows it",
                                                         rfc3339_write(arena, ready_at).at)
                                                .at };
        return OK;
    }
    TRY(rotation_activate(rotation, &life, standby, now_s));
    *out = (struct rotated){ .new_kid = standby->kid,
                             .old_kid = active->kid,
                             .message = rotation_caches_behind(arena, ready_at, now_s,
                                                               "the next key signs from now on") };
    return OK;
}

struct err rotation_rotate(struct rotation *rotation, struct arena *arena, bool immediate, int64_t now_s,
                           struct rotated *out)
{
    HOLD(rotation);
    return rotation_rotate_locked(rotation, arena, immediate, now_s, out);
}

struct err rotation_take_over(struct rotation *rotation, struct arena *arena, int64_t now_s)
{
    struct lifecycle life;
    struct rotated rotated;
    HOLD(rotation);
    TRY(rotation_read_life(rotation->store, rotation->settings, arena, &life));
    const struct key *active = lifecycle_active(&life);
    if (!active || rotation->signer->ops->load(rotation->signer, arena, active).code != ERR_NOT_FOUND)
        return OK; /* what else is wrong with it, keyring_open says */
    LOG(LOG_WARN, "signer_takes_over", LOG_STR("kid", active->kid), LOG_TEXT_("signer", rotation->signer->ops->name));
    return rotation_rotate_locked(rotation, arena, true, now_s, &rotated);
}

static struct err rotation_revoke_locked(struct rotation *rotation, struct arena *arena, struct str kid,
                                         struct str reason, int64_t now_s, struct rotated *out)
{
    const struct key_terms terms = lifecycle_terms(rotation->settings);
    const struct key *standby = NULL;
    struct lifecycle life;
    struct key key;
    TRY(rotation_agree_on_time(rotation, &now_s));
    TRY(rotation->store->ops->find_key(rotation->store, arena, kid, &key));
    if (key.state == KEY_REVOKED) {
        *out = (struct rotated){ .message = "the key had been revoked before" };
        return OK;
    }
    bool was_active = key.state == KEY_ACTIVE;
    TRY(rotation_read_life(rotation->store, rotation->settings, arena, &life));
    if (was_active)
        TRY(rotation_need_standby(rotation, arena, &life, true, now_s, &standby));
    struct str successor = was_active ? standby->kid : STR("");
    int64_t ready_at = lifecycle_standby_ready_at(&life);
    TRY(rotation->store->ops->revoke_key(rotation->store, kid, successor, reason, now_s, &terms));
    rotation_tell(COUNT_KEYS_REVOKED, "revoked", successor, key.kid, reason);
    *out = (struct rotated){ .message = "the key is revoked: it is out of the key set, and its tokens are refused" };
    if (!was_active)
        return OK;
    metrics_count(COUNT_KEYS_ACTIVATED, 1);
    out->new_kid = successor;
    out->old_kid = key.kid;
    out->message = rotation_caches_behind(arena, ready_at, now_s,
                                          "the key is revoked and the next key signs from now on");
    return OK;
}

struct err rotation_revoke(struct rotation *rotation, struct arena *arena, struct str kid, struct str reason,
                           int64_t now_s, struct rotated *out)
{
    HOLD(rotation);
    struct err err = OK;
    for (int i = 0; i < TRIES; i++) { /* the key may become active, or retiring, between the look and the leap */
        err = rotation_revoke_locked(rotation, arena, kid, reason, now_s, out);
        if (err.code != ERR_CONFLICT)
            break;
    }
    return err;
}

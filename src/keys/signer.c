/* keys/signer.c: the signer that the settings ask for, and the others beside it.
 *
 * After a change of TOKEN_SIGNER or KMS_KEY_ID the store's active key belongs to another signer than the one that makes
 * keys now. It goes on signing until its successor has been published for long enough, as in every rotation. So all
 * signers that can be opened are opened, and each key goes to the one that made it. Without KMS only one is opened. */
#include "keys/signer.h"
#include "keys/kms_keys.h"
#include "keys/pair.h"
#include <pthread.h>
#include <stdlib.h>

enum { KINDS = SIGNER_ENVELOPE + 1 };

/* Which signer has loaded a key. */
struct place {
    struct place *next;
    enum signer_kind kind;
    char kid[JWK_THUMBPRINT_LEN + 1];
};

struct signers {
    struct signer signer;
    struct signer_ops ops; /* under the name of the one that makes keys */
    enum signer_kind chosen;
    struct signer *kinds[KINDS]; /* by enum signer_kind; no SIGNER_AUTO */
    pthread_rwlock_t lock;       /* of the list */
    struct place *places;
};

static struct signers *signer_signers_of(struct signer *signer)
{
    return (struct signers *)signer;
}

/* --- each key to its own ----------------------------------------------------------------------------------------- */

static enum signer_kind signer_kind_of(const struct key *key)
{
    enum signer_kind kind = SIGNER_LOCAL;
    while (kind < SIGNER_ENVELOPE && !pair_is_of(key, kind))
        kind++;
    return kind;
}

/* Under the lock: the place of that key in the list, or of the list's end. */
static struct place **signer_find(struct signers *all, struct str kid)
{
    struct place **place = &all->places;
    while (*place && !str_eq(str_of((*place)->kid), kid))
        place = &(*place)->next;
    return place;
}

static void signer_note(struct signers *all, struct str kid, enum signer_kind kind)
{
    pthread_rwlock_wrlock(&all->lock);
    struct place **place = signer_find(all, kid);
    if (!*place && kid.len <= JWK_THUMBPRINT_LEN) {
        struct place *added = mem_alloc(sizeof *added);
        *added = (struct place){ .kind = kind };
        memcpy(added->kid, kid.at, kid.len);
        *place = added;
    }
    pthread_rwlock_unlock(&all->lock);
}

static struct err signer_all_create(struct signer *signer, struct arena *arena, enum jwa alg, struct key *out)
{
    struct signers *all = signer_signers_of(signer);
    struct signer *chosen = all->kinds[all->chosen];
    TRY(chosen->ops->create(chosen, arena, alg, out));
    signer_note(all, out->kid, all->chosen);
    return OK;
}

struct err signer_adopt(struct signer *signer, struct arena *arena, enum jwa alg, const struct key *known, size_t count,
                        struct key *out)
{
    return signer->ops->adopt ? signer->ops->adopt(signer, arena, alg, known, count, out)
                              : failed(ERR_NOT_FOUND, "nothing is left behind that no row names");
}

static struct err signer_all_adopt(struct signer *signer, struct arena *arena, enum jwa alg, const struct key *known,
                                   size_t count, struct key *out)
{
    struct signers *all = signer_signers_of(signer);
    struct signer *chosen = all->kinds[all->chosen];
    TRY(signer_adopt(chosen, arena, alg, known, count, out));
    signer_note(all, out->kid, all->chosen);
    return OK;
}

static struct err signer_all_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signers *all = signer_signers_of(signer);
    struct signer *own = all->kinds[signer_kind_of(key)];
    TRY(own->ops->load(own, arena, key));
    signer_note(all, key->kid, signer_kind_of(key));
    return OK;
}

static struct err signer_all_sign(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                                  struct str input, char *out, size_t *len)
{
    struct signers *all = signer_signers_of(signer);
    pthread_rwlock_rdlock(&all->lock);
    const struct place *place = *signer_find(all, kid);
    struct signer *own = place ? all->kinds[place->kind] : NULL;
    pthread_rwlock_unlock(&all->lock);
    return own ? own->ops->sign(own, kid, alg, priority, input, out, len)
               : failed(ERR_UNAVAILABLE, "the signing key is not loaded");
}

static void signer_all_unload(struct signer *signer, struct str kid)
{
    struct signers *all = signer_signers_of(signer);
    pthread_rwlock_wrlock(&all->lock);
    struct place **place = signer_find(all, kid), *gone = *place;
    if (gone)
        *place = gone->next;
    pthread_rwlock_unlock(&all->lock);
    if (gone)
        all->kinds[gone->kind]->ops->unload(all->kinds[gone->kind], kid);
    free(gone);
}

static struct err signer_all_dispose(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer *own = signer_signers_of(signer)->kinds[signer_kind_of(key)];
    signer_all_unload(signer, key->kid);
    return own->ops->dispose(own, arena, key);
}

/* Those that hold a key; with none, the one that should. */
static struct err signer_all_check(struct signer *signer)
{
    struct signers *all = signer_signers_of(signer);
    bool holds[KINDS] = { false }, any = false;
    pthread_rwlock_rdlock(&all->lock);
    for (const struct place *each = all->places; each; each = each->next)
        any = holds[each->kind] = true;
    pthread_rwlock_unlock(&all->lock);
    holds[all->chosen] = holds[all->chosen] || !any;
    for (enum signer_kind kind = SIGNER_LOCAL; kind <= SIGNER_ENVELOPE; kind++)
        if (holds[kind])
            TRY(all->kinds[kind]->ops->check(all->kinds[kind]));
    return OK;
}

static int64_t signer_all_wait_s(struct signer *signer, size_t ahead)
{
    struct signers *all = signer_signers_of(signer);
    return all->kinds[all->chosen]->ops->wait_s(all->kinds[all->chosen], ahead);
}

static void signer_all_close(struct signer *signer)
{
    struct signers *all = signer_signers_of(signer);
    for (enum signer_kind kind = SIGNER_LOCAL; kind <= SIGNER_ENVELOPE; kind++)
        if (all->kinds[kind])
            all->kinds[kind]->ops->close(all->kinds[kind]);
    while (all->places) {
        struct place *gone = all->places;
        all->places = gone->next;
        free(gone);
    }
    pthread_rwlock_destroy(&all->lock);
    free(all);
}

static const struct signer_ops all_ops = {
    .create = signer_all_create,
    .adopt = signer_all_adopt,
    .load = signer_all_load,
    .sign = signer_all_sign,
    .unload = signer_all_unload,
    .dispose = signer_all_dispose,
    .check = signer_all_check,
    .wait_s = signer_all_wait_s,
    .close = signer_all_close,
};

static struct err signer_open_all(const struct settings *settings, struct kms *kms, struct store *store,
                                  enum signer_kind chosen, struct signer **out)
{
    struct signers *all = mem_alloc(sizeof *all);
    *all = (struct signers){ .ops = all_ops, .chosen = chosen };
    all->signer.ops = &all->ops;
    pthread_rwlock_init(&all->lock, NULL);
    struct err err = signer_local_open(settings, &all->kinds[SIGNER_LOCAL]);
    if (!err.code)
        err = signer_kms_open(settings, kms, store, &all->kinds[SIGNER_KMS]);
    if (!err.code)
        err = signer_envelope_open(settings, kms, &all->kinds[SIGNER_ENVELOPE]);
    if (err.code) {
        signer_all_close(&all->signer);
        return err;
    }
    all->ops.name = all->kinds[chosen]->ops->name;
    *out = &all->signer;
    return OK;
}

/* --- which one --------------------------------------------------------------------------------------------------- */

/* The key behind KMS_KEY_ID, or behind its first item. */
static struct err signer_describe_first(const struct settings *settings, struct kms *kms, struct arena *arena,
                                        struct kms_key *out)
{
    struct str rest = str_of(settings->kms_key_id), id;
    if (!str_next_item(&rest, ',', &id))
        return failed(ERR_INVALID_REQUEST, "KMS_KEY_ID is empty");
    id = str_trim(id);
    struct err err = kms_describe(kms, arena, id, out);
    if (err.code != ERR_NOT_FOUND)
        return err;
    return failed(ERR_INVALID_REQUEST,
                  arena_printf(arena, "KMS has no key %.*s, which KMS_KEY_ID names", (int)id.len, id.at).at);
}

static struct err signer_check_envelope(const struct settings *settings, const struct kms_key *key)
{
    if (!str_eq(key->spec, STR("SYMMETRIC_DEFAULT")))
        return failed(ERR_INVALID_REQUEST, "TOKEN_SIGNER envelope needs a KMS_KEY_ID whose spec is SYMMETRIC_DEFAULT");
    if (str_has(str_of(settings->kms_key_id), ','))
        return failed(ERR_INVALID_REQUEST, "KMS_KEY_ID is a list: only keys for signatures may be listed, not a "
                                           "symmetric one, which wraps each new key pair itself");
    return OK;
}

static struct err signer_choose(const struct settings *settings, struct kms *kms, struct arena *arena,
                                enum signer_kind *kind)
{
    struct kms_key key;
    *kind = SIGNER_LOCAL;
    if (settings->signer == SIGNER_LOCAL || (settings->signer == SIGNER_AUTO && !settings->kms_key_id[0]))
        return OK;
    if (!kms)
        return failed(ERR_INTERNAL, "there is no client of AWS KMS");
    TRY(signer_describe_first(settings, kms, arena, &key));
    *kind = (enum signer_kind)settings->signer;
    if (*kind == SIGNER_AUTO)
        *kind = key.is_signing ? SIGNER_KMS : SIGNER_ENVELOPE;
    return *kind == SIGNER_KMS ? kms_check_kind(arena, &key, (enum jwa)settings->signing_alg)
                               : signer_check_envelope(settings, &key);
}

struct err signer_open(const struct settings *settings, struct kms *kms, struct store *store, struct arena *arena,
                       struct signer **out, enum signer_kind *kind)
{
    TRY(signer_choose(settings, kms, arena, kind));
    return kms ? signer_open_all(settings, kms, store, *kind, out) : signer_local_open(settings, out);
}

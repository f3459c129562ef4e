/* keys/signer.c: which signer the settings ask for. */
#include "keys/signer.h"
#include "keys/kms_keys.h"

bool signer_waits(const struct signer *signer)
{
    return str_eq(str_of(signer->ops->name), STR("kms"));
}

/* The key behind KMS_KEY_ID, or behind its first item. */
static struct err describe_first(const struct settings *settings, struct kms *kms, struct arena *arena,
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

static struct err open_envelope(const struct settings *settings, struct kms *kms, const struct kms_key *key,
                                struct signer **out)
{
    if (!str_eq(key->spec, STR("SYMMETRIC_DEFAULT")))
        return failed(ERR_INVALID_REQUEST, "TOKEN_SIGNER envelope needs a KMS_KEY_ID whose spec is SYMMETRIC_DEFAULT");
    if (str_has(str_of(settings->kms_key_id), ','))
        return failed(ERR_INVALID_REQUEST, "KMS_KEY_ID is a list: only keys for signatures may be listed, not a "
                                           "symmetric one, which wraps each new key pair itself");
    return signer_envelope_open(settings, kms, out);
}

struct err signer_open(const struct settings *settings, struct kms *kms, struct store *store, struct arena *arena,
                       struct signer **out)
{
    struct kms_key key;
    if (settings->signer == SIGNER_LOCAL || (settings->signer == SIGNER_AUTO && !settings->kms_key_id[0]))
        return signer_local_open(settings, out);
    if (!kms)
        return failed(ERR_INTERNAL, "there is no client of AWS KMS");
    TRY(describe_first(settings, kms, arena, &key));
    if (settings->signer == SIGNER_ENVELOPE || (settings->signer == SIGNER_AUTO && !key.is_signing))
        return open_envelope(settings, kms, &key, out);
    TRY(kms_check_kind(arena, &key, (enum jwa)settings->signing_alg));
    return signer_kms_open(settings, kms, store, out);
}

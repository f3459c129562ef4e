/* bench/mint.c: makes access tokens offline, with the service's own code and the key of its data directory, so that a
 * server can be asked about tokens that it has never seen.
 *
 *     bench_mint KEY_FILE ISSUER CLIENT_ID COUNT >TOKENS
 *
 * One token a line, each with a jti of its own, all of one length and good for a day; one thread a core. RS256. */
#include "base/random.h"
#include "jose/b64.h"
#include "jose/claims.h"
#include "jose/jws.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 64 * 1024, ROOM = 16 * 1024, JTI_BYTES = 16, LIFETIME_S = 86400, THREADS_MAX = 64 };

/* Shared by the threads; only `left` changes. */
struct work {
    const struct jwk *key;
    struct str issuer, client_id;
    int64_t now_s;
    atomic_long left;
};

static void write_payload(const struct work *work, struct buf *out)
{
    char random[JTI_BYTES], jti[JTI_BYTES * 2];
    random_bytes(random, sizeof random);
    b64url_encode((struct str){ random, sizeof random }, jti);
    const struct claims_new claims = { .kind = TOKEN_ACCESS,
                                       .iss = work->issuer,
                                       .sub = STR("7f3c1e52-5b0e-4c6f-9d0a-2f4b8f0d9e11"),
                                       .client_id = work->client_id,
                                       .scope = STR("stories:read stories:write profile"),
                                       .jti = { jti, b64url_encoded_len(JTI_BYTES) },
                                       .aud = &work->client_id,
                                       .aud_count = 1,
                                       .aud_as_list = true,
                                       .iat = work->now_s,
                                       .exp = work->now_s + LIFETIME_S,
                                       .auth_time = -1 };
    claims_write(out, &claims);
}

/* False when the token could not be signed or written. */
static bool mint_one(const struct work *work)
{
    char room[ROOM], signature[JWK_SIGNATURE_MAX];
    size_t signature_len;
    struct arena arena;
    struct buf payload, token;
    arena_init(&arena, room, sizeof room);
    buf_init(&payload, &arena, 1024, ROOM / 4);
    buf_init(&token, &arena, 2048, ROOM / 2);
    write_payload(work, &payload);
    jws_write_signing_input(&token, work->key->alg, token_kind_typ(TOKEN_ACCESS), str_of(work->key->kid),
                            buf_str(&payload));
    bool good = !jws_sign(work->key, buf_str(&token), signature, &signature_len).code;
    if (good) {
        buf_add_char(&token, '.');
        b64url_add(&token, (struct str){ signature, signature_len });
        buf_add_char(&token, '\n');
        good = !token.overflowed && fwrite(token.at, token.len, 1, stdout) == 1; /* stdio's lock keeps lines whole */
    }
    arena_release(&arena);
    return good;
}

static void *mint(void *arg)
{
    struct work *work = arg;
    while (atomic_fetch_sub(&work->left, 1) > 0)
        if (!mint_one(work)) {
            fprintf(stderr, "bench_mint: a token could not be made\n");
            exit(EXIT_FAILURE);
        }
    return NULL;
}

static struct jwk *key_from(const char *path)
{
    static char pem[PEM_MAX];
    struct jwk *key = NULL;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return NULL;
    size_t len = fread(pem, 1, sizeof pem, file);
    fclose(file);
    struct err err = jwk_read_private_pem((struct str){ pem, len }, JWA_RS256, &key);
    mem_wipe(pem, sizeof pem);
    return err.code ? NULL : key;
}

static void run_threads(struct work *work)
{
    pthread_t threads[THREADS_MAX];
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores < 1 ? 1 : cores > THREADS_MAX ? THREADS_MAX : (size_t)cores, started = 0;
    while (started < count && pthread_create(&threads[started], NULL, mint, work) == 0)
        started++;
    if (started == 0)
        mint(work);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: bench_mint KEY_FILE ISSUER CLIENT_ID COUNT >TOKENS\n");
        return 2;
    }
    AUTO(jwk_freep) struct jwk *key = key_from(argv[1]);
    if (!key) {
        fprintf(stderr, "bench_mint: %s can't be read as an RSA key\n", argv[1]);
        return 3;
    }
    struct work work = { .key = key,
                         .issuer = str_of(argv[2]),
                         .client_id = str_of(argv[3]),
                         .now_s = (int64_t)time(NULL),
                         .left = strtol(argv[4], NULL, 10) };
    run_threads(&work);
    return fflush(stdout) == 0 ? 0 : 3;
}
